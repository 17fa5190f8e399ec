package warehouse

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// released holds the SHA-256 of every migration that a release applied somewhere: those databases hold what the file said then. Never change a line; add those of a release when it is made.
// All of these are of 0.1.0.
var released = map[string]string{
	"0001_tables.sql":       "eff3dc0b070cae79f94f6da398c2cda72f5d94afcf78fe1261f48eabeaebedd0",
	"0002_views.sql":        "db2a17301cc8e273fef92c5baa4af9289d3fe7e5b6687426699c9e1dab47fcf6",
	"0003_deadletters.sql":  "8df107e8140ce3195a440ce747a16c4121c2fc825439bca601ab123c33c5ea94",
	"0004_erasures.sql":     "38fa5d02c92fd40545b94112832347cdf27c3566998586d89fc2cddef93c27bb",
	"0005_shadow.sql":       "6fd73a399c9dd0225fc80eab30bec31807abd9c6bee06fb52b3ccafe1b520c5c",
	"0006_models.sql":       "0d703faa05b95be691a8e3bc1cab64cc1ace0e4c92139c28b9fa4452f84d9f5b",
	"0007_drift.sql":        "8478c6cf0e23fda18acab5550963914ce5e2c916f15bb06e26f03beddf9080db",
	"0008_drift_events.sql": "95929d6e3b5f4ae87e08ae89efd2eea75600001931947b70aea5cc4469747ec9",
	"0009_text_hash.sql":    "23dd98817415c01b7e822c85d79d18e0b59cd5a62b601e75fc1c25f790b81fbb",
	"0010_origin.sql":       "3284ef76ff5d55d61298611eebe2eba53e1b5bd6bae8cc1909c69f086f2ee778",
}

func TestReleasedMigrationsDoNotChange(t *testing.T) {
	files, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range files {
		got[m.name] = m.sha256
	}
	for name, sum := range released {
		if got[name] != sum {
			t.Errorf("%s was released with sha256 %s and has %q now: restore it, and put the change into a new file", name, sum, got[name])
		}
	}
}

// withLater are the migrations of this binary and those of later ones.
func withLater(t *testing.T, later ...string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	names, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range names {
		text, err := migrationFiles.ReadFile("migrations/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		files["migrations/"+entry.Name()] = &fstest.MapFile{Data: text}
	}
	for i, text := range later {
		files[fmt.Sprintf("migrations/%04d_later.sql", len(names)+i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

const anAddition = `-- additive
-- What a later release keeps.
ALTER TABLE prediction_rows ADD COLUMN IF NOT EXISTS margin Float32 DEFAULT 0;
ALTER TABLE embedding_rows ADD COLUMN IF NOT EXISTS region LowCardinality(String) DEFAULT 'unknown' COMMENT 'of a later release';
CREATE TABLE IF NOT EXISTS later_rows (n UInt8) ENGINE = MergeTree ORDER BY n;
`

// A sink of the release before is started again on tables that a newer one has added to, inserts, and what it inserts has the defaults.
func TestOlderBinaryWorksOnAnAddition(t *testing.T) {
	w := open(t, testOptions(t))
	if err := w.migrate(t.Context(), withLater(t, anAddition), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if err := w.Migrate(t.Context(), slog.New(slog.NewTextHandler(&log, nil))); err != nil { // this binary is the older one
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "an addition of a newer jobstrom") || strings.Contains(log.String(), "applied migration") {
		t.Errorf("logged %s", log.String())
	}
	// What 0.1.0 asks before it refuses.
	var newest uint32
	if err := w.Conn().QueryRow(t.Context(), "SELECT max(version) FROM schema_migrations FINAL").Scan(&newest); err != nil {
		t.Fatal(err)
	}
	if files, err := readMigrations(migrationFiles); err != nil || newest > uint32(len(files)) {
		t.Errorf("schema_migrations holds version %d, %v: 0.1.0 would refuse it", newest, err)
	}
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if err := w.InsertPredictions(t.Context(), []PredictionRow{{VacancyID: "a", Probabilities: []float32{1}, ReceivedAt: at, PublishedAt: at, ClassifiedAt: at}}); err != nil {
		t.Fatal(err)
	}
	if err := w.InsertEmbeddings(t.Context(), []EmbeddingRow{{VacancyID: "a", Vector: []float32{1}, ReceivedAt: at, PublishedAt: at}}); err != nil {
		t.Fatal(err)
	}
	var region string
	if err := w.Conn().QueryRow(t.Context(), "SELECT region FROM embedding_rows").Scan(&region); err != nil || region != "unknown" {
		t.Errorf("got region %q, %v", region, err)
	}
	// The newer one meets its own database again, after the older one worked on it.
	if err := w.migrate(t.Context(), withLater(t, anAddition), slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}

// What is not only an addition is refused, also where an addition came after it.
func TestOlderBinaryRefusesAChange(t *testing.T) {
	w := open(t, testOptions(t))
	change := "ALTER TABLE prediction_rows ADD COLUMN IF NOT EXISTS margin Float32 DEFAULT 0;\n"
	if err := w.migrate(t.Context(), withLater(t, change, anAddition), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	err := w.Migrate(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "its schema version is") || !strings.Contains(err.Error(), "use a newer jobstrom") {
		t.Errorf("got %v", err)
	}
}

func TestAdditions(t *testing.T) {
	f := func(statement string, want bool) {
		t.Helper()
		_, err := readMigrations(fstest.MapFS{"migrations/0001_a.sql": {Data: []byte(additiveMark + "\n" + statement + ";\n")}})
		if (err == nil) != want {
			t.Errorf("%q: got %v", statement, err)
		}
		if _, err := readMigrations(fstest.MapFS{"migrations/0001_a.sql": {Data: []byte("-- not marked\n" + statement + ";\n")}}); err != nil {
			t.Errorf("%q is not said to be an addition: %v", statement, err)
		}
	}
	f("CREATE TABLE IF NOT EXISTS a (n UInt8) ENGINE = Memory", true)
	f("ALTER TABLE a ADD COLUMN IF NOT EXISTS b String DEFAULT 'x'", true)
	f("ALTER TABLE a ADD INDEX IF NOT EXISTS by_b b TYPE minmax", true)
	f("CREATE OR REPLACE VIEW v AS SELECT 1", true)
	f("ALTER TABLE a ADD COLUMN IF NOT EXISTS b String", false)
	f("ALTER TABLE a DROP COLUMN b", false)
	f("ALTER TABLE a ADD COLUMN IF NOT EXISTS b String DEFAULT 'x', DROP COLUMN c", false)
	f("ALTER TABLE a MODIFY COLUMN b UInt8 DEFAULT 0", false)
	f("RENAME TABLE a TO b", false)
	f("DROP TABLE a", false)
	f("INSERT INTO a VALUES (1)", false)
}
