package warehouse

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// StepKind says what becomes of a difference.
type StepKind string

// The kinds of steps. Migrate does the first two.
const (
	// StepMigrate is a migration, or a database, that is missing.
	StepMigrate StepKind = "migrate"
	// StepRetention is the time of a table's rows.
	StepRetention StepKind = "retention"
	// StepRefused is what Migrate refuses, and then does nothing.
	StepRefused StepKind = "refused"
	// StepShown is what differs and stays.
	StepShown StepKind = "left alone"
)

// Step is one difference between the database and what the binary and the options want.
type Step struct {
	Kind StepKind `json:"kind"`
	// What is the name of a database, migration or table.
	What string `json:"what"`
	From string `json:"from"`
	To   string `json:"to"`
	Note string `json:"note,omitempty"`
}

// Plan is what Migrate would do, and the tables that are there.
type Plan struct {
	Layout string  `json:"layout"`
	Steps  []Step  `json:"steps"`
	Tables []Table `json:"tables"`
}

// Table is one that holds rows, or leads to them.
type Table struct {
	Name          string `json:"name"`
	Engine        string `json:"engine"`
	StoragePolicy string `json:"storage_policy,omitempty"`
	// Rows and Bytes are those of this server, duplicates included.
	Rows  uint64 `json:"rows"`
	Bytes uint64 `json:"bytes"`
}

// Has says whether there is a step of one of these kinds.
func (p Plan) Has(kinds ...StepKind) bool {
	for _, s := range p.Steps {
		for _, k := range kinds {
			if s.Kind == k {
				return true
			}
		}
	}
	return false
}

// PlanMigration says what Migrate would do with these options. It changes nothing, not even a database that is missing.
func PlanMigration(ctx context.Context, o Options) (Plan, error) {
	o.EnsureDefaults()
	o.CreateDatabase = false
	migrations, err := readMigrations(migrationFiles)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Layout: o.Layout.String()}
	w, err := Open(ctx, o)
	if hasCode(err, codeUnknownDatabase) {
		p.Steps = append(p.Steps, Step{StepMigrate, o.Database, "", "created", "the database"})
		for _, m := range migrations {
			p.Steps = append(p.Steps, Step{StepMigrate, m.name, "", "applied", ""})
		}
		return p, nil
	}
	if err != nil {
		return Plan{}, err
	}
	defer w.Close()
	if err := w.plan(ctx, &p, migrations); err != nil {
		return Plan{}, fmt.Errorf("planning for the database %s: %w", o.Database, err)
	}
	return p, nil
}

func (w *Warehouse) plan(ctx context.Context, p *Plan, migrations []migration) error {
	tables, err := w.placed(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, t := range tables {
		there[t.Name] = true
		p.Tables = append(p.Tables, Table{t.Name, t.Engine, t.Policy, t.Rows, t.Bytes})
		if why := w.options.Layout.differs(t); why != "" {
			p.Steps = append(p.Steps, Step{StepRefused, t.Name, t.Engine, w.options.Layout.String(), "it " + why})
		}
		if policy := w.options.Layout.StoragePolicy; policy != "" && t.Policy != policy && t.Engine != "Distributed" && ours(strings.TrimSuffix(t.Name, localSuffix)) {
			p.Steps = append(p.Steps, Step{StepShown, t.Name, t.Policy, policy, "the storage policy of a table that is there: ALTER TABLE … MODIFY SETTING storage_policy"})
		}
	}
	if p.Has(StepRefused) {
		return nil
	}
	if err := w.checkCluster(ctx); err != nil {
		p.Steps = append(p.Steps, Step{StepRefused, w.options.Layout.Cluster, "", p.Layout, err.Error()})
		return nil
	}
	pending := migrations
	if there[w.target("schema_migrations")] {
		if pending, err = w.pending(ctx, migrations, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
	}
	for _, m := range pending {
		p.Steps = append(p.Steps, Step{StepMigrate, m.name, "", "applied", fmt.Sprintf("%d statements", len(m.statements))})
	}
	if err := w.planServers(ctx, p); err != nil {
		return err
	}
	retentions, err := w.retentions(ctx)
	if err != nil {
		return err
	}
	for _, r := range retentions {
		if !there[w.options.Layout.local(r.table)] {
			if want := w.want(kept{}, r); want != (kept{}) {
				p.Steps = append(p.Steps, Step{StepRetention, r.table, "", want.String(), ""})
			}
			continue
		}
		is, want, differs, err := w.wanted(ctx, r)
		if err != nil {
			return err
		}
		if differs {
			note := ""
			if want.keep > 0 && (is.keep == 0 || want.keep < is.keep) {
				if note, err = w.expired(ctx, r.table, want); err != nil {
					return err
				}
			}
			p.Steps = append(p.Steps, Step{StepRetention, r.table, is.String(), want.String(), note})
		}
	}
	return nil
}

// CheckMigrated refuses a database that Migrate would change, for processes that leave it to somebody else.
func (w *Warehouse) CheckMigrated(ctx context.Context) error {
	migrations, err := readMigrations(migrationFiles)
	if err != nil {
		return err
	}
	tables, err := w.placed(ctx)
	if err != nil {
		return fmt.Errorf("checking the database %s: %w", w.options.Database, err)
	}
	for _, t := range tables {
		if t.Name != w.target("schema_migrations") {
			continue
		}
		if migrations, err = w.pending(ctx, migrations, slog.New(slog.DiscardHandler)); err != nil {
			return fmt.Errorf("checking the database %s: %w", w.options.Database, err)
		}
	}
	if len(migrations) > 0 {
		return fmt.Errorf("the database %s lacks %d migrations, the first is %s: run jobstrom warehouse migrate, or leave --migrate=false out", w.options.Database, len(migrations), migrations[0].name)
	}
	if err := w.checkLayout(ctx); err != nil {
		return fmt.Errorf("checking the database %s: %w", w.options.Database, err)
	}
	return nil
}

// expired says what a shorter retention deletes.
func (w *Warehouse) expired(ctx context.Context, table string, want kept) (string, error) {
	var rows uint64
	err := w.conn.QueryRow(ctx, "SELECT count() FROM "+table+" WHERE received_at < now64(3) - toIntervalSecond(?)", int64(want.keep.Seconds())).Scan(&rows)
	if err != nil {
		return "", fmt.Errorf("counting what expires of %s: %w", table, err)
	}
	if rows == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d rows are older and go", rows), nil
}

// planServers adds the servers of the cluster that lack a table that this one has.
func (w *Warehouse) planServers(ctx context.Context, p *Plan) error {
	l := w.options.Layout
	if l.Cluster == "" || l.Here {
		return nil
	}
	var lacking []struct {
		Server string `ch:"server"`
		Tables uint64 `ch:"tables"`
	}
	// Every server says how many it has; one that is away is an error, because nothing could be made there.
	err := w.conn.Select(ctx, &lacking, fmt.Sprintf(`SELECT concat(hostName(), ':', toString(tcpPort())) AS server, countIf(database = '%s' AND engine != 'View') AS tables
		FROM clusterAllReplicas('%s', system.tables) GROUP BY server ORDER BY server`, w.options.Database, l.Cluster))
	if err != nil {
		return fmt.Errorf("asking the servers of the cluster %s: %w", l.Cluster, err)
	}
	most := uint64(0)
	for _, s := range lacking {
		most = max(most, s.Tables)
	}
	for _, s := range lacking {
		if s.Tables < most {
			p.Steps = append(p.Steps, Step{StepShown, s.Server, fmt.Sprintf("%d tables", s.Tables), fmt.Sprintf("%d tables", most),
				"a server of the cluster lacks tables: jobstrom warehouse migrate --clickhouse " + s.Server + " --clickhouse-on-cluster=false makes them there"})
		}
	}
	return nil
}
