package warehouse

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each layout's statements for a table, an added column, a view, a feed, a retention and an erasure stand in testdata; JOBSTROM_REWRITE=1 writes them anew.
func TestLayoutStatements(t *testing.T) {
	statements := []string{
		"CREATE TABLE IF NOT EXISTS erasure_rows\n(\n    vacancy_id String CODEC(ZSTD(1)),\n    topic_offset Int64\n)\nENGINE = ReplacingMergeTree(topic_offset)\nPARTITION BY toYYYYMM(received_at)\nORDER BY (vacancy_id, topic_id)",
		"CREATE TABLE IF NOT EXISTS touched_hour_rows\n(\n    hour DateTime('UTC')\n)\nENGINE = AggregatingMergeTree\nORDER BY (dataset, hour)",
		"ALTER TABLE embedding_rows ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'stream'",
		"ALTER TABLE embedding_rows ADD INDEX IF NOT EXISTS by_text text_hash TYPE bloom_filter(0.001) GRANULARITY 1",
		"CREATE OR REPLACE VIEW labels AS\nSELECT vacancy_id FROM label_rows",
		"CREATE OR REPLACE VIEW dead_letters AS\nSELECT d.stage FROM deadletter_rows AS d FINAL\nSETTINGS join_use_nulls = 0",
		"CREATE MATERIALIZED VIEW IF NOT EXISTS similar_0123456789abcdef_4_feed TO similar_0123456789abcdef_4 AS SELECT vacancy_id FROM embedding_rows WHERE encoder = 'e'",
		"ALTER TABLE similar_0123456789abcdef_4 MODIFY COMMENT 'filled'",
		kept{hot: 48 * 3600e9, keep: 96 * 3600e9, volume: "cold"}.statement("embedding_rows"),
		"DELETE FROM label_rows WHERE (label_topic_id, label_partition, label_offset) IN (('t',1,2))",
		"INSERT INTO touched_hour_rows (dataset, hour, touched_at)\nSELECT 'predictions', hour, now64(3) FROM prediction_rows",
	}
	for name, l := range layouts() {
		var b strings.Builder
		for _, s := range statements {
			all, err := l.statements("jobs", s)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("-- " + strings.ReplaceAll(s, "\n", " ") + "\n")
			for _, made := range all {
				b.WriteString(made + ";\n")
			}
			b.WriteString("\n")
		}
		file := filepath.Join("testdata", "layout_"+name+".sql")
		if os.Getenv("JOBSTROM_REWRITE") == "1" {
			if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func layouts() map[string]Layout {
	return map[string]Layout{
		"one":                {},
		"replicated":         {Cluster: "prod", Replicated: true},
		"sharded":            {Cluster: "prod", Replicated: true, Sharded: true, StoragePolicy: "tiered"},
		"sharded_one_server": {Cluster: "prod", Sharded: true, Here: true},
	}
}

// The engine reads every statement of every migration in every layout: a clause at the wrong place would be a syntax error. What a layout does not know it refuses.
func TestLayoutsOfMigrations(t *testing.T) {
	w := open(t, testOptions(t))
	files, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range layouts() {
		spread, tables := 0, 0
		for _, m := range files {
			for i, statement := range m.statements {
				all, err := l.statements("jobs", statement)
				if err != nil {
					t.Errorf("%s: statement %d of %s: %v", name, i+1, m.name, err)
				}
				for _, made := range all {
					if err := w.Conn().Exec(t.Context(), "EXPLAIN AST "+made); err != nil {
						t.Errorf("%s: statement %d of %s: %v\n%s", name, i+1, m.name, err, made)
					}
					if strings.Contains(made, " ON CLUSTER 'prod'") {
						spread++
					}
					if strings.HasPrefix(made, "CREATE TABLE") && strings.Contains(made, "MergeTree") {
						tables++
						if l.Replicated != strings.Contains(made, "Replicated") {
							t.Errorf("%s: %s", name, made)
						}
					}
				}
			}
		}
		if tables < 10 || (l.onCluster() != "") != (spread > tables) {
			t.Errorf("%s: %d tables, %d statements on the cluster", name, tables, spread)
		}
	}
	for _, unknown := range []string{"DROP TABLE embedding_rows", "RENAME TABLE a TO b", "CREATE TABLE IF NOT EXISTS x (n Int8) ENGINE = Memory", "ALTER TABLE x DROP COLUMN y", "OPTIMIZE TABLE x"} {
		if all, err := layouts()["sharded"].statements("jobs", unknown); err == nil {
			t.Errorf("%s became %q", unknown, all)
		}
	}
}

// Every table that a migration makes has a key or is meant to lie whole on the first shard; a new one must be thought of.
func TestShardingKeys(t *testing.T) {
	small := []string{"training_run_rows", "model_history_rows", "touched_hour_rows", "drift_hour_rows", "drift_event_rows"}
	files, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, m := range files {
		for _, statement := range m.statements {
			table := createTable.FindStringSubmatch(statement)
			if table == nil {
				continue
			}
			made++
			if (shardingKeys[table[1]] == "") != slices.Contains(small, table[1]) {
				t.Errorf("%s: its key is %q; is it small?", table[1], shardingKeys[table[1]])
			}
		}
	}
	if want := len(small) + len(shardingKeys); made != want {
		t.Errorf("migrations make %d tables, %d are known", made, want)
	}
}

func TestLayoutFailure(t *testing.T) {
	f := func(l Layout, want string) {
		t.Helper()
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", l, err, want)
		}
	}
	f(Layout{Sharded: true}, "need clickhouse-cluster")
	f(Layout{Here: true}, "need clickhouse-cluster")
	f(Layout{Cluster: "prod"}, "needs clickhouse-replicated, clickhouse-sharded or both")
	f(Layout{Cluster: "a' OR '1", Sharded: true}, "clickhouse-cluster")
	f(Layout{StoragePolicy: "x'"}, "clickhouse-storage-policy")
}
