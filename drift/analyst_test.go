package drift

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"jobstrom/embedded/clickhousetest"
)

const password = "s3cret-of-the-test"

// asAnalyst connects as the user that may only look.
func asAnalyst(t *testing.T) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Auth: clickhouse.Auth{Database: clickhousetest.Database(t), Username: "analyst", Password: password}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// overHTTP sends a query as the analyst, with parameters, in a database; it returns the status and the answer.
func overHTTP(t *testing.T, in, query string, parameters map[string]string) (int, string) {
	t.Helper()
	values := url.Values{"database": {in}}
	for name, value := range parameters {
		values.Set("param_"+name, strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`).Replace(value)) // as the interface asks
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+clickhousetest.Engine(t).HTTPAddr()+"/?"+values.Encode(), strings.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("analyst", password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// calls are all views with arguments, named, beside the rows that they have for the vacancies of the test.
func calls() map[string]int {
	const two = "ref_from = {ref_from:String}, ref_to = {ref_to:String}, cur_from = {ref_to:String}, cur_to = {cur_to:String}"
	const one = "first = {ref_from:String}, last = {cur_to:String}"
	return map[string]int{
		"drift_prediction_values": 200,
		"drift_embedding_values":  214,
		"drift_label_values":      26,
		"drift_touched_hours":     60,
		"drift_hours":             440,
		"drift_counts(column = {column:String}, " + two + ", model = {model:String}, encoder = {encoder:String})":             4,
		"drift_values(column = {column:String}, " + two + ", model = {model:String}, encoder = {encoder:String})":             4,
		"drift_categories(" + two + ", model = {model:String})":                                                               4,
		"drift_columns(" + two + ", model = {model:String}, encoder = {encoder:String})":                                      12,
		"drift_numbers(column = 'confidence', " + two + ", model = {model:String}, encoder = {encoder:String})":               13,
		"drift_series(column = {column:String}, " + one + ", hours = 24, model = {model:String}, encoder = {encoder:String})": 8,
		"drift_confidence(" + two + ", model = {model:String})":                                                               4,
		"drift_accuracy(" + one + ", model = {model:String})":                                                                 4,
		"drift_windows(" + two + ", encoder = {encoder:String})":                                                              2,
	}
}

func parameters() map[string]string {
	return map[string]string{"ref_from": "2026-01-01", "ref_to": "2026-01-02", "cur_to": "2026-01-03", "column": "category", "model": "first", "encoder": "first"}
}

// A user who may only look and may change no setting can call every view, by both protocols and with parameters of its own, and can write nothing.
func TestAnalyst(t *testing.T) {
	w := openInstalled(t)
	insert(t, w, vacancies(0, 20))
	files, err := views.ReadDir("sql")
	if err != nil {
		t.Fatal(err)
	}
	conn := asAnalyst(t)
	for call, want := range calls() {
		query := "SELECT count() FROM " + call
		ctx := clickhouse.Context(t.Context(), clickhouse.WithParameters(parameters()))
		var rows uint64
		if err := conn.QueryRow(ctx, query).Scan(&rows); err != nil || rows != uint64(want) {
			t.Errorf("%s: %d rows, %v, want %d", call, rows, err, want)
		}
		if status, body := overHTTP(t, "default", "SELECT count() FROM "+clickhousetest.Database(t)+"."+call, parameters()); status != http.StatusOK || body != fmt.Sprintln(want) {
			t.Errorf("%s over HTTP: %d %s", call, status, body)
		}
	}
	for _, file := range files { // of other files of this package as well, once they are called above
		view := strings.TrimSuffix(file.Name()[3:], ".sql")
		called := false
		for call := range calls() {
			called = called || strings.HasPrefix(call, view)
		}
		if file.Name() < "50" && !called {
			t.Errorf("%s is not called", view)
		}
	}
	for _, statement := range []string{
		"INSERT INTO touched_hour_rows (dataset, hour) VALUES ('predictions', now())", "INSERT INTO drift_hour_rows (column) VALUES ('x')", "DROP VIEW drift_hours", "TRUNCATE TABLE drift_hour_rows",
		"CREATE OR REPLACE VIEW drift_hours AS SELECT 1", "DELETE FROM prediction_rows WHERE 1", "SET max_threads = 1",
	} {
		if err := conn.Exec(t.Context(), statement); err == nil {
			t.Errorf("allowed %s", statement)
		}
		if status, body := overHTTP(t, clickhousetest.Database(t), statement, nil); status == http.StatusOK {
			t.Errorf("allowed %s over HTTP: %s", statement, body)
		}
	}
}

// Parameters are values, whatever they hold: hostile ones find nothing, and change nothing.
func TestInjection(t *testing.T) {
	w := openInstalled(t)
	insert(t, w, vacancies(0, 20))
	hostile := []string{"'", "''", `\`, `\'`, `'); DROP TABLE drift_hour_rows; --`, "' OR 1 = 1 --", "first' UNION ALL SELECT 1 /*", "*/ first", "`first`", "first\x00", "{model:String}", "(SELECT 'first')", "firѕt", "%", "\n", "category' , model = '", `"; SELECT 1`}
	before := text(t, w, "SELECT name, toString(create_table_query) FROM system.tables WHERE database = currentDatabase() ORDER BY name") + text(t, w, "SELECT count() FROM drift_hours")
	const two = "ref_from = '2026-01-01', ref_to = '2026-01-02', cur_from = '2026-01-02', cur_to = '2026-01-03'"
	conn := asAnalyst(t)
	for i, text := range hostile {
		for call, query := range map[string]string{
			"model":    "SELECT toUInt64(sum(reference) + sum(current)) FROM drift_categories(" + two + ", model = {x:String})",
			"column":   "SELECT toUInt64(sum(reference) + sum(current)) FROM drift_values(column = {x:String}, " + two + ", model = '', encoder = '')",
			"encoder":  "SELECT count() FROM drift_series(column = 'source', first = '2026-01-01', last = '2026-01-03', hours = 24, model = '', encoder = {x:String})",
			"accuracy": "SELECT count() FROM drift_accuracy(first = '2026-01-01', last = '2026-02-01', model = {x:String})",
		} {
			if call != "model" && i != 3 && i != 4 {
				continue
			}
			var found uint64
			ctx := clickhouse.Context(t.Context(), clickhouse.WithParameters(map[string]string{"x": text}))
			if err := conn.QueryRow(ctx, query).Scan(&found); err == nil && found != 0 {
				t.Errorf("%s %q finds %d", call, text, found)
			}
			if call != "model" || i > 5 {
				continue
			}
			if status, body := overHTTP(t, clickhousetest.Database(t), query, map[string]string{"x": text}); status == http.StatusOK && body != "0\n" {
				t.Errorf("%s %q finds %s over HTTP", call, text, body)
			}
		}
	}
	// As a literal, quoted by the client; and not a time at all.
	literal := "SELECT toUInt64(sum(reference) + sum(current)) FROM drift_categories(" + two + ", model = '" + `first\'); DROP TABLE drift_hour_rows; --` + "')"
	var found uint64
	if err := w.Conn().QueryRow(t.Context(), literal).Scan(&found); err != nil || found != 0 {
		t.Errorf("a literal finds %d, %v", found, err)
	}
	if err := w.Conn().QueryRow(t.Context(), "SELECT count() FROM drift_accuracy(first = '1970-01-01'' OR 1', last = '2026-01-01', model = '')").Scan(&found); err == nil {
		t.Error("allowed a time that is none")
	}
	if after := text(t, w, "SELECT name, toString(create_table_query) FROM system.tables WHERE database = currentDatabase() ORDER BY name") + text(t, w, "SELECT count() FROM drift_hours"); after != before {
		t.Errorf("the database has changed:\n%s\nwas\n%s", after, before)
	}
}
