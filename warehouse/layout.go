package warehouse

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Layout says on which servers the tables lie. The zero layout is one server. Names that queries use are the same in every layout.
//
// With Replicated the servers of a shard hold the same rows, by Keeper. With Sharded the rows are divided among the shards of the cluster: T is then a Distributed
// table over T_local, which each server has. Rows of a vacancy lie on one shard with its tombstones, so that views find both there; tables that are small lie whole on the first
// shard, and all are read through every server.
type Layout struct {
	// Cluster is the name of a cluster in the servers' remote_servers; empty: one server.
	Cluster string
	// Replicated takes replicated engines. Servers need Keeper and the macros shard and replica.
	Replicated bool
	// Sharded divides the rows.
	Sharded bool
	// Here runs statements on the server that is asked alone, for a server that is new in a cluster, and for clusters without a queue of statements (ON CLUSTER).
	Here bool
	// StoragePolicy is the policy of tables that are created; empty: the server's default.
	StoragePolicy string
	// ColdVolume is the volume of that policy to which Retention's Hot moves rows, "cold" by default.
	ColdVolume string
}

// EnsureDefaults fills what is empty.
func (l *Layout) EnsureDefaults() {
	if l.ColdVolume == "" {
		l.ColdVolume = "cold"
	}
}

// identifier is a name that needs no quoting inside quotes.
var identifier = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)

// Validate reports every violation.
func (l Layout) Validate() error {
	var wrong []error
	for name, value := range map[string]string{"clickhouse-cluster": l.Cluster, "clickhouse-storage-policy": l.StoragePolicy, "clickhouse-cold-volume": l.ColdVolume} {
		if value != "" && !identifier.MatchString(value) {
			wrong = append(wrong, fmt.Errorf("%s (%q) must be letters, digits and _ . -, at most 100", name, value))
		}
	}
	if l.Cluster == "" && (l.Replicated || l.Sharded || l.Here) {
		wrong = append(wrong, errors.New("clickhouse-replicated, clickhouse-sharded and clickhouse-on-cluster=false need clickhouse-cluster"))
	}
	if l.Cluster != "" && !l.Replicated && !l.Sharded {
		wrong = append(wrong, fmt.Errorf("clickhouse-cluster (%s) needs clickhouse-replicated, clickhouse-sharded or both", l.Cluster))
	}
	return errors.Join(wrong...)
}

// String names the layout.
func (l Layout) String() string {
	switch {
	case l.Replicated && l.Sharded:
		return "sharded and replicated over the cluster " + l.Cluster
	case l.Sharded:
		return "sharded over the cluster " + l.Cluster
	case l.Replicated:
		return "replicated over the cluster " + l.Cluster
	}
	return "one server"
}

// localSuffix ends the names of the tables that hold rows when they are sharded.
const localSuffix = "_local"

// local names the table that holds the rows of another.
func (l Layout) local(table string) string {
	if l.Sharded {
		return table + localSuffix
	}
	return table
}

// onCluster is what a statement about a table or database has behind the name.
func (l Layout) onCluster() string {
	if l.Cluster == "" || l.Here {
		return ""
	}
	return " ON CLUSTER '" + l.Cluster + "'"
}

// shardingKeys say which shard has a row. Rows of a vacancy and its tombstones lie together; letters lie by the coordinates that make them the same letter, because one and
// the same may be known with and without its vacancy. Tables that are not here are small and lie on the first shard.
var shardingKeys = map[string]string{
	"embedding_rows":         "cityHash64(vacancy_id)",
	"prediction_rows":        "cityHash64(vacancy_id)",
	"label_rows":             "cityHash64(vacancy_id)",
	"shadow_rows":            "cityHash64(vacancy_id)",
	"erasure_rows":           "cityHash64(vacancy_id)",
	"deadletter_rows":        "cityHash64(raw_topic_id, raw_partition, raw_offset)",
	"deadletter_replay_rows": "cityHash64(raw_topic_id, raw_partition, raw_offset)",
}

func shardingKey(table string) string {
	if strings.HasPrefix(table, similarPrefix) {
		return "cityHash64(vacancy_id)"
	}
	if key := shardingKeys[table]; key != "" {
		return key
	}
	return "0"
}

// The forms of statements that layouts know. What has none of them is refused, so that no new migration is spread wrongly in silence.
var (
	createTable = regexp.MustCompile(`(?s)^CREATE TABLE IF NOT EXISTS (\w+)(\s*\(.*\))\s*ENGINE = (\w*MergeTree)(?:\(([^)]*)\))?\s*((?:PARTITION BY [^\n]*\n)?\s*ORDER BY [^\n]*)$`)
	createView  = regexp.MustCompile(`(?s)^((?:--[^\n]*\n)*CREATE (?:OR REPLACE )?VIEW (?:IF NOT EXISTS )?\w+)( AS\s.*)$`)
	createFeed  = regexp.MustCompile(`(?s)^(CREATE MATERIALIZED VIEW IF NOT EXISTS \w+) TO (\w+)( AS SELECT .* FROM )(\w+)( WHERE .*)$`)
	alterTable  = regexp.MustCompile(`(?s)^ALTER TABLE (\w+)\s+(ADD COLUMN|ADD INDEX|MODIFY TTL|MODIFY COMMENT|MODIFY SETTING|APPLY DELETED MASK)(\s.*|)$`)
	deleteRows  = regexp.MustCompile(`(?s)^DELETE FROM (\w+)( WHERE .*)$`)
	insertRows  = regexp.MustCompile(`(?s)^INSERT INTO \w+ `)
	lastSetting = regexp.MustCompile(`(?s)\nSETTINGS [^()]*$`)
)

// statements returns what a statement for one server becomes in the layout: nothing, one statement or two.
func (l Layout) statements(database, statement string) ([]string, error) {
	statement = strings.TrimSpace(statement)
	if m := createTable.FindStringSubmatch(statement); m != nil {
		return l.createTable(database, m[1], m[2], m[3], m[4], m[5]), nil
	}
	if l.Cluster == "" {
		return []string{statement}, nil
	}
	on := l.onCluster()
	if m := createView.FindStringSubmatch(statement); m != nil {
		return []string{m[1] + on + l.together(m[2])}, nil
	}
	if m := createFeed.FindStringSubmatch(statement); m != nil {
		return []string{m[1] + on + " TO " + l.local(m[2]) + m[3] + l.local(m[4]) + m[5]}, nil
	}
	if m := alterTable.FindStringSubmatch(statement); m != nil {
		table := l.local(m[1])
		if m[2] == "MODIFY COMMENT" {
			table = m[1]
		}
		all := []string{"ALTER TABLE " + table + on + " " + m[2] + m[3]}
		if l.Sharded && strings.Contains(statement, "ADD COLUMN") {
			all = append(all, l.distributed("CREATE OR REPLACE TABLE ", database, m[1]))
		}
		return all, nil
	}
	if m := deleteRows.FindStringSubmatch(statement); m != nil {
		if !l.Sharded {
			return []string{statement}, nil // a replicated table deletes on its replicas itself
		}
		return []string{"DELETE FROM " + l.local(m[1]) + on + m[2]}, nil
	}
	if insertRows.MatchString(statement) {
		if l.Here {
			return nil, nil // a server that joins has nothing of its own to insert from
		}
		return []string{statement}, nil
	}
	return nil, fmt.Errorf("no layout but one server knows a statement like %.60q", statement)
}

func (l Layout) createTable(database, table, columns, engine, args, keys string) []string {
	name := l.local(table)
	if l.Replicated {
		// Named in full instead of by the table's UUID, so that a server that joins later finds the others.
		more := ""
		if args != "" {
			more = ", " + args
		}
		engine, args = "Replicated"+engine, fmt.Sprintf("'/clickhouse/tables/{shard}/%s/%s', '{replica}'%s", database, name, more)
	}
	if args != "" {
		engine += "(" + args + ")"
	}
	created := "CREATE TABLE IF NOT EXISTS " + name + l.onCluster() + columns + "\nENGINE = " + engine + "\n" + strings.TrimSpace(keys)
	if l.StoragePolicy != "" {
		created += "\nSETTINGS storage_policy = '" + l.StoragePolicy + "'"
	}
	all := []string{created}
	if l.Sharded {
		all = append(all, l.distributed("CREATE TABLE IF NOT EXISTS ", database, table))
	}
	return all
}

func (l Layout) distributed(create, database, table string) string {
	return fmt.Sprintf("%s%s%s AS %s ENGINE = Distributed('%s', '%s', '%s', %s)", create, table, l.onCluster(), l.local(table), l.Cluster, database, l.local(table), shardingKey(table))
}

// together lets a view of sharded tables look for rows of one vacancy, or of one small table, on the shard that has them. Letters and tombstones lie apart.
func (l Layout) together(view string) string {
	if !l.Sharded {
		return view
	}
	mode := "local"
	if strings.Contains(view, "deadletter_rows") {
		mode = "global"
	}
	if lastSetting.MatchString(view) {
		return view + ", distributed_product_mode = '" + mode + "'"
	}
	return view + "\nSETTINGS distributed_product_mode = '" + mode + "'"
}
