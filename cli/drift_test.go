package cli

import (
	"strings"
	"testing"
)

// What is wrong with a comparison is said before ClickHouse is asked.
func TestDriftReportUsage(t *testing.T) {
	f := func(status int, want string, args ...string) {
		t.Helper()
		got, _, said := jobstrom(t, "", append([]string{"drift", "report", "--out", "", "--clickhouse", "127.0.0.1:1"}, args...)...)
		if got != status || !strings.Contains(said, want) {
			t.Errorf("%v: status %d, want %d: %s, want %q", args, got, status, said, want)
		}
	}
	f(2, `--reference: window "yesterday" is none of 2024, 2024-03`, "--reference", "yesterday")
	f(2, "or model (the training window of the champion), model:ID, or before", "--reference", "modell")
	f(2, `--current: window "2024-13"`, "--current", "2024-13")
	f(2, "it ends before it begins", "--reference", "2024..2023")
	f(2, "overlap", "--reference", "2024", "--current", "2024-05")
	f(2, "preset (psi) must be one of [calibrated evidently]", "--reference", "2022", "--current", "2024", "--preset", "psi")
	f(2, "or no p is small enough", "--reference", "2022", "--current", "2024", "--alpha", "0.00001")
	f(2, `--fail-on is "always"`, "--fail-on", "always")
	f(2, `--origin is "web": use stream, api or all`, "--origin", "web")
	f(2, `--format is "yaml"`, "--format", "yaml")
	f(1, "connecting to ClickHouse at 127.0.0.1:1", "--reference", "2022", "--current", "2024")
	f(1, "connecting to ClickHouse at 127.0.0.1:1", "--reference", "model:3fa9")
}
