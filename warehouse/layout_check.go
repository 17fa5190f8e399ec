package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// placed is a table of ours as the server has it.
type placed struct {
	Name   string `ch:"name"`
	Engine string `ch:"engine"`
	Full   string `ch:"engine_full"`
	Policy string `ch:"storage_policy"`
	Rows   uint64 `ch:"rows"`
	Bytes  uint64 `ch:"bytes"`
}

// placed lists the tables that hold rows or lead to them, without views.
func (w *Warehouse) placed(ctx context.Context) ([]placed, error) {
	var all []placed
	err := w.conn.Select(ctx, &all, `SELECT name, engine, engine_full, storage_policy, ifNull(total_rows, 0) AS rows, ifNull(total_bytes, 0) AS bytes
		FROM system.tables WHERE database = currentDatabase() AND (engine LIKE '%MergeTree' OR engine = 'Distributed') ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("listing the tables: %w", err)
	}
	return all, nil
}

// differs says why a table does not fit the layout; empty when it does, or is none of ours.
func (l Layout) differs(p placed) string {
	local := strings.HasSuffix(p.Name, localSuffix)
	base := strings.TrimSuffix(p.Name, localSuffix)
	if !ours(base) {
		return ""
	}
	engine := strings.TrimPrefix(p.Engine, "Replicated")
	is := Layout{Sharded: local || p.Engine == "Distributed", Replicated: p.Engine != engine}
	switch {
	case is.Sharded != l.Sharded:
		return fmt.Sprintf("is %s, which is not what %s has", p.Engine, l)
	case p.Engine == "Distributed" && !strings.HasPrefix(p.Full, "Distributed('"+l.Cluster+"',"):
		return "is " + p.Full + ", of another cluster than " + l.Cluster
	case p.Engine != "Distributed" && is.Replicated != l.Replicated:
		return fmt.Sprintf("is %s, which is not what %s has", p.Engine, l)
	}
	return ""
}

// ours says whether a migration or EnsureSimilar makes a table of that name.
func ours(table string) bool {
	return strings.HasSuffix(table, "_rows") || table == "schema_migrations" || table == "schema_additions" || strings.HasPrefix(table, similarPrefix)
}

// checkLayout refuses a cluster that cannot have the layout, and tables that were made with another one.
func (w *Warehouse) checkLayout(ctx context.Context) error {
	tables, err := w.placed(ctx)
	if err != nil {
		return err
	}
	for _, p := range tables {
		if why := w.options.Layout.differs(p); why != "" {
			return fmt.Errorf("the table %s %s: give the settings (clickhouse-cluster, -replicated, -sharded) it was made with, or use another database and copy the rows (docs/topics-and-tables.md says how)", p.Name, why)
		}
	}
	return w.checkCluster(ctx)
}

func (w *Warehouse) checkCluster(ctx context.Context) error {
	l := w.options.Layout
	if l.Cluster == "" {
		return nil
	}
	var shards []struct {
		Cluster string `ch:"cluster"`
		Shard   uint32 `ch:"shard_num"`
		Servers uint64 `ch:"servers"`
	}
	if err := w.conn.Select(ctx, &shards, "SELECT cluster, shard_num, count() AS servers FROM system.clusters GROUP BY cluster, shard_num ORDER BY cluster, shard_num"); err != nil {
		return fmt.Errorf("reading system.clusters: %w", err)
	}
	var names []string
	number, most := 0, uint64(0)
	for _, s := range shards {
		if !slices.Contains(names, s.Cluster) {
			names = append(names, s.Cluster)
		}
		if s.Cluster == l.Cluster {
			number, most = number+1, max(most, s.Servers)
		}
	}
	switch {
	case number == 0:
		return fmt.Errorf("the server knows no cluster %s, only %s: correct clickhouse-cluster, or remote_servers in the server's configuration", l.Cluster, strings.Join(names, ", "))
	case number > 1 && !l.Sharded:
		return fmt.Errorf("the cluster %s has %d shards: give clickhouse-sharded, or a cluster of one shard", l.Cluster, number)
	case most > 1 && !l.Replicated:
		return fmt.Errorf("a shard of the cluster %s has %d servers: give clickhouse-replicated, or they would hold different rows", l.Cluster, most)
	}
	var engine string
	if err := w.conn.QueryRow(ctx, "SELECT engine FROM system.databases WHERE name = currentDatabase()").Scan(&engine); err != nil {
		return fmt.Errorf("reading the engine of the database: %w", err)
	}
	if engine == "Replicated" {
		return fmt.Errorf("the database has the engine Replicated, which spreads statements itself: use a database with the engine Atomic")
	}
	if !l.Replicated {
		return nil
	}
	var macros []struct {
		Macro string `ch:"macro"`
	}
	if err := w.conn.Select(ctx, &macros, "SELECT macro FROM system.macros"); err != nil {
		return fmt.Errorf("reading system.macros: %w", err)
	}
	for _, want := range []string{"shard", "replica"} {
		if !slices.ContainsFunc(macros, func(m struct {
			Macro string `ch:"macro"`
		}) bool {
			return m.Macro == want
		}) {
			return fmt.Errorf("the server has no macro %s: every server needs <macros> with its shard and its replica", want)
		}
	}
	return nil
}
