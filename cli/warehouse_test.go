package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The commands of docs/backup.md work as they stand there, beside a running flow, and what they restore and rebuild is what there was.
func TestBackupDoc(t *testing.T) {
	f := startFlow(t, "")
	samples, err := os.ReadFile("../samples/unseen.jsonl")
	must(t, err)
	lines := strings.SplitAfter(string(samples), "\n")[:30]
	must(t, os.WriteFile(filepath.Join(f.dir, "some.jsonl"), []byte(strings.Join(lines, "")), 0o644))
	f.shell("bin/jobstrom produce some.jsonl")
	f.until("the vacancies are in ClickHouse", func() bool { return f.ask("SELECT count() FROM jobstrom.predictions") == "30" })
	id := f.ask("SELECT vacancy_id FROM jobstrom.predictions ORDER BY vacancy_id LIMIT 1")
	blocks := shellBlocks(t, "../docs/backup.md")
	if len(blocks) < 5 {
		t.Fatalf("the document has %d blocks of commands", len(blocks))
	}
	erased := false
	for _, block := range blocks {
		if strings.Contains(block, "restore") && !erased { // after the backups
			erased = true
			f.shell("bin/jobstrom erase " + id)
			// In four partitions each of the raw topic, the labels and the API's predictions.
			f.until("the vacancy is erased", func() bool {
				return f.ask(fmt.Sprintf("SELECT count() FROM jobstrom.prediction_rows WHERE vacancy_id = '%s'", id)) == "0" && f.ask("SELECT count() FROM jobstrom.erasures") == "12"
			})
		}
		if out := f.shell(block); strings.TrimSpace(out) == "" {
			t.Errorf("%s says nothing", block)
		}
	}
	for _, database := range []string{"jobstrom_restored", "jobstrom_rebuilt"} {
		for _, view := range []string{"embeddings", "predictions", "labels", "history", "erasures"} {
			want, got := f.ask("SELECT count(), sum(sipHash64(tuple(*))) FROM jobstrom."+view), f.ask("SELECT count(), sum(sipHash64(tuple(*))) FROM "+database+"."+view)
			if got != want {
				t.Errorf("%s of %s: %s, want %s", view, database, got, want)
			}
		}
		if n := f.ask(fmt.Sprintf("SELECT count() FROM %s.prediction_rows WHERE vacancy_id = '%s'", database, id)); n != "0" {
			t.Errorf("%s holds %s rows of the erased vacancy", database, n)
		}
	}
	if left := f.ask("SELECT groupArray(name) FROM system.databases WHERE match(name, '_(backup|restore)$')"); left != "[]" {
		t.Errorf("left behind: %s", left)
	}
}

// What cannot be done is said with what to do, before anything is changed.
func TestBackupFailure(t *testing.T) {
	f := func(want string, status int, args ...string) {
		t.Helper()
		got, _, errOut := jobstrom(t, "", append(args, "--kafka-port", "1", "--clickhouse-port", "1")...)
		if got != status || !strings.Contains(errOut, want) {
			t.Errorf("%q: status %d, %s; want %d, %q", args, got, errOut, status, want)
		}
	}
	f("accepts 1 arg", 2, "warehouse", "backup")
	f("must be a name of letters", 2, "warehouse", "backup", "File('a'); DROP DATABASE jobstrom")
	f("must be a name of letters", 2, "warehouse", "backup", "../a")
	f("must be a name of letters", 2, "warehouse", "restore", "URL('http://x')")
	f("JOBSTROM_BACKUP_PLACE, which is not set", 2, "warehouse", "backup", "-")
	f("or --without-kafka", 1, "warehouse", "backup", "a")
	f("start jobstrom up first", 1, "warehouse", "backup", "a", "--without-kafka")
	f("knows nothing of what was erased since", 1, "warehouse", "restore", "a")
	f("no such file", 1, "warehouse", "restore", "a", "--erasures", "/nowhere")
	f("it is cut off", 1, "warehouse", "restore", "a", "--erasures", write(t, "erasures.jsonl", ""))
	f("--until is \"soon\"", 2, "warehouse", "rebuild", "--until", "soon")
	f("nothing listens there", 1, "warehouse", "rebuild")
	f("nothing listens there", 1, "models", "backup", filepath.Join(t.TempDir(), "m"))
	f("no such file", 1, "models", "restore", "/nowhere")
	f("it is cut off", 1, "models", "restore", write(t, "models.jsonl", "{}"))
}
