package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jobstrom/embedded/clickhousetest"
	"jobstrom/warehouse"
)

// As docs/topics-and-tables.md says of disks: rows that are older than --retention-hot move to the policy's volume cold, of tables that are made with the policy and
// of such as were there before and were given it; younger rows stay, and no row is lost.
func TestRowsMoveToTheColdVolume(t *testing.T) {
	engine := clickhousetest.Start(t, map[string]string{"config.d/disks.xml": fmt.Sprintf(`<clickhouse><storage_configuration>
  <disks><archive><path>%s/</path></archive></disks>
  <policies><renamed><volumes><hot><disk>default</disk></hot><cold><disk>archive</disk></cold></volumes></renamed><tiered><volumes><default><disk>default</disk></default><cold><disk>archive</disk></cold></volumes></tiered></policies>
</storage_configuration></clickhouse>`, filepath.Join(t.TempDir(), "archive"))})
	for _, before := range []bool{false, true} {
		t.Run(map[bool]string{false: "new tables", true: "tables that were there"}[before], func(t *testing.T) {
			database := map[bool]string{false: "made", true: "given"}[before]
			migrate := func(settings ...string) {
				t.Helper()
				if status, out, said := jobstrom(t, "", append([]string{"warehouse", "migrate", "--clickhouse", engine.Addr(), "--clickhouse-database", database}, settings...)...); status != 0 {
					t.Fatalf("status %d: %s%s", status, out, said)
				}
			}
			tiered := []string{"--clickhouse-storage-policy", "tiered", "--retention-hot", "720h", "--retention", "8760h"}
			if before {
				migrate()
			} else {
				migrate(tiered...)
			}
			w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{engine.Addr()}, Database: database})
			must(t, err)
			t.Cleanup(func() { must(t, w.Close()) })
			ask := func(query string) string {
				t.Helper()
				var answer string
				must(t, w.Conn().QueryRow(t.Context(), query).Scan(&answer))
				return answer
			}
			// Rows of a month lie in parts of their own, and a part moves when its youngest row is old enough.
			for i, age := range []time.Duration{time.Hour, 24 * time.Hour, 70 * 24 * time.Hour, 100 * 24 * time.Hour} {
				at := warehouse.Coordinates{TopicID: uuid.MustParse("11111111-2222-3333-4444-555555555555"), Offset: int64(i)}
				received := time.Now().Add(-age)
				must(t, w.InsertPredictions(t.Context(), []warehouse.PredictionRow{{
					Coordinates: at, ReceivedAt: received, VacancyID: fmt.Sprint(i), Model: "m", Encoder: "e", Category: "c", Confidence: 1, Probabilities: []float32{1}, PublishedAt: received, ClassifiedAt: received,
				}}))
				must(t, w.InsertEmbeddings(t.Context(), []warehouse.EmbeddingRow{{Coordinates: at, ReceivedAt: received, VacancyID: fmt.Sprint(i), Encoder: "e", Vector: []float32{1, 0}, PublishedAt: received}}))
			}
			places := func(table string) string {
				return ask(fmt.Sprintf(`SELECT arrayStringConcat(arraySort(groupArray(d.disk_name || ' ' || r.vacancy_id)), ', ')
					FROM (SELECT _part, vacancy_id FROM %s FINAL) AS r JOIN (SELECT name, disk_name FROM system.parts WHERE database = currentDatabase() AND table = '%[1]s' AND active) AS d ON d.name = r._part`, table))
			}
			tables := []string{"prediction_rows", "embedding_rows"}
			if before {
				for _, table := range tables {
					if got := places(table); got != "default 0, default 1, default 2, default 3" {
						t.Fatalf("without a policy the rows of %s lie on %s", table, got)
					}
				}
				if err := w.Conn().Exec(t.Context(), "ALTER TABLE prediction_rows MODIFY SETTING storage_policy = 'renamed'"); err == nil || !strings.Contains(err.Error(), "shall contain volumes of the old storage policy") {
					t.Errorf("a policy whose first volume has another name: %v", err)
				}
				for _, table := range strings.Fields(ask("SELECT arrayStringConcat(groupArray(name), ' ') FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")) {
					must(t, w.Conn().Exec(t.Context(), fmt.Sprintf("ALTER TABLE %s MODIFY SETTING storage_policy = 'tiered'", table)))
				}
				migrate(tiered...)
			}
			const want = "archive 2, archive 3, default 0, default 1"
			for _, table := range tables {
				got := ""
				for deadline := time.Now().Add(2 * time.Minute); got != want; <-time.After(50 * time.Millisecond) {
					if got = places(table); got != want && time.Now().After(deadline) {
						t.Fatalf("the rows of %s lie on %s, want %s", table, got, want)
					}
				}
			}
			if status, out, said := jobstrom(t, "", append([]string{"warehouse", "plan", "--clickhouse", engine.Addr(), "--clickhouse-database", database}, tiered...)...); status != 0 {
				t.Errorf("afterwards a plan ends with %d: %s%s", status, out, said)
			}
		})
	}
}
