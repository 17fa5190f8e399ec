package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"jobstrom/schemas"
)

// The watch of a flow raises an alarm when the vacancies of a week are all of one category, tells ClickHouse and Kafka, trains, and the gate decides.
func (f *flowUnderTest) watch(t *testing.T) {
	f.t = t
	var lines []string
	for i := range 60 {
		published := time.Now().UTC().Add(-time.Duration(3+2*i) * time.Hour)
		lines = append(lines, fmt.Sprintf(`{"id":"mason-%d","employer":"Murerfirma %d","text":"Vi søger en murer til facaderenovering. Du skal mure facader og pudse vægge.","category":"Bygge og anlæg","published_at":%q}`,
			i, i, published.Format(time.RFC3339)))
	}
	f.shell("bin/jobstrom produce - <<'E'\n" + strings.Join(lines, "\n") + "\nE\n")
	f.until("they are in ClickHouse", func() bool {
		return f.ask("SELECT (SELECT count() FROM jobstrom.predictions WHERE startsWith(vacancy_id, 'mason-')), (SELECT count() FROM jobstrom.history WHERE startsWith(vacancy_id, 'mason-'))") == "60\t60"
	})
	const once = `bin/jobstrom drift watch --once --drift-reference 2026-01..2026-06 --drift-retrain `
	var told evaluationJSON
	out := f.shell(once + "--format json || test $? = 4")
	must(t, json.Unmarshal([]byte(out), &told))
	i := slices.IndexFunc(told.Columns, func(c evaluatedColumn) bool { return c.Name == "category" })
	if told.Verdict != "drift" || i < 0 || told.Columns[i].Verdict != "drift" || len(told.Open) == 0 {
		t.Fatalf("got %s", out)
	}
	f.shell(once + "|| test $? = 4") // the same shift
	var kinds []string
	promoted := ""
	for line := range strings.Lines(f.shell("kcat -C -b 127.0.0.1:9092 -t drift.events -X isolation.level=read_committed -o beginning -e -q")) {
		e := &schemas.DriftEvent{}
		must(t, schemas.Decode(schemas.JSON, []byte(line), e))
		if !strings.HasSuffix(e.Watch, "against 2026-01..2026-06") {
			continue
		}
		if e.Column == "category" {
			kinds = append(kinds, e.Kind)
			promoted = e.Model
		}
		// The classifier of the day may say anything of them, their labels do not.
		if e.Kind == "raised" && (e.Current.Vacancies < 60 || e.Column == "label" && e.Changes[0].Value != "Bygge og anlæg") {
			t.Errorf("got %v", e)
		}
	}
	if len(kinds) != 3 || kinds[0] != "raised" || kinds[1] != "retraining" || kinds[2] != "promoted" && kinds[2] != "kept" {
		t.Fatalf("the topic holds %v", kinds)
	}
	if got := f.ask("SELECT groupArray(kind) FROM (SELECT * FROM jobstrom.drift_events WHERE column = 'category' AND endsWith(watch, '2026-01..2026-06') AND published_at > 0 ORDER BY at)"); got != "['"+strings.Join(kinds, "','")+"']" {
		t.Errorf("ClickHouse holds %s, the topic %v", got, kinds)
	}
	f.until("the registry's history is in ClickHouse", func() bool {
		return f.ask("SELECT count() FROM jobstrom.model_history WHERE model = '"+promoted+"' AND startsWith(reason, 'trained because of drift of ')") == "1"
	})
	if out := f.shell("bin/jobstrom drift events --open"); !strings.Contains(out, "category drifted: total variation") || !strings.Contains(out, "label drifted: total variation") || !strings.Contains(out, "Bygge og anlæg") {
		t.Errorf("the list says %s", out)
	}
}

// What is wrong with the watch's settings is said before anything is asked.
func TestDriftWatchUsage(t *testing.T) {
	f := func(status int, want string, args ...string) {
		t.Helper()
		got, _, said := jobstrom(t, "", append([]string{"drift", "watch", "--once", "--clickhouse", "127.0.0.1:1"}, args...)...)
		if got != status || !strings.Contains(said, want) {
			t.Errorf("%v: status %d, want %d: %s, want %q", args, got, status, said, want)
		}
	}
	f(2, "drift-current (2024) must slide: write it like last 7d", "--drift-current", "2024")
	f(2, `drift-reference: window "champion" is none of`, "--drift-reference", "champion")
	f(2, "drift-every (1s) must be at least 1m0s", "--drift-every", "1s")
	f(2, "drift-retrain-every (1s) must be at least 1m0s", "--drift-retrain-every", "1s")
	f(2, "drift-raise-after (-1h0m0s) must not be negative", "--drift-raise-after", "-1h")
	f(2, "drift-clear-after (-1h0m0s) must not be negative", "--drift-clear-after", "-1h")
	f(2, "Alpha (2) must be above 0 and below 1", "--drift-alpha", "2")
	f(2, "drift-webhook and drift-webhook-file are both given", "--drift-webhook", "http://a", "--drift-webhook-file", "b")
	f(1, "connecting to ClickHouse at 127.0.0.1:1")
	f(1, "connecting to ClickHouse at 127.0.0.1:1", "--drift-every", "0")
}
