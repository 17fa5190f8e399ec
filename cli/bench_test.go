package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jobstrom/capacity"
	"jobstrom/pipeline/embed"
	"jobstrom/telemetry/logtest"
)

func TestWithSettings(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		got, err := withSettings([]byte(file), [][2]string{{"threads", "2"}, {"batch-tokens", "256"}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", file, diff)
		}
	}
	f("", "threads: 2\nbatch-tokens: 256\n")
	f("# ours\nhttp: :80 # open\nthreads: 8 # many\n", "# ours\nhttp: :80 # open\nthreads: 2 # many\nbatch-tokens: 256\n")
	for _, bad := range []string{"- a\n", "a: [", "text"} {
		if _, err := withSettings([]byte(bad), nil); err == nil {
			t.Errorf("%q was taken for settings", bad)
		}
	}
}

// The best settings are written, read again by the next command, and are then those in use.
func TestBenchTune(t *testing.T) {
	config, encoder := filepath.Join(t.TempDir(), "jobstrom.yaml"), t.TempDir()
	for _, layer := range []string{"base", "prompt"} { // the tiny encoder of random weights that models/repository is tested with
		must(t, os.CopyFS(encoder, os.DirFS(filepath.Join("../models/repository/testdata/encoders/xlm-roberta", layer))))
	}
	has(t, 0, nil, nil, "models", "pull", encoder, "--data", t.TempDir())
	must(t, os.WriteFile(config, []byte("# ours\nlog-level: error\n"), 0o600))
	tune := func(more ...string) (tuned []embed.Tuned) {
		t.Helper()
		var out, said logtest.Buffer
		args := append([]string{"bench", "tune", "--config", config, "--encoder", encoder, "--measure", "10ms", "--rounds", "1", "--format", "json"}, more...)
		if status := run(t.Context(), args, strings.NewReader(""), &out, &said); status != 0 {
			t.Fatalf("status %d: %s", status, said.String())
		}
		must(t, json.Unmarshal([]byte(out.String()), &tuned))
		return tuned
	}
	measured := filepath.Join(t.TempDir(), "new", "measured.json")
	best := tune("--write", "--measured", measured)[0]
	m, err := capacity.Read(measured)
	must(t, err)
	if m.Vacancies != 330 || m.Dimensions >= capacity.BuiltIn().Dimensions || m.EmbeddedBytes >= capacity.BuiltIn().EmbeddedBytes {
		t.Errorf("measured %+v", m)
	}
	for _, again := range tune() {
		if same := again.Threads == best.Threads && again.Workers == best.Workers && again.BatchTokens == best.BatchTokens; same != again.Current {
			t.Errorf("wrote %+v, then measured %+v", best, again)
		}
	}
	data, err := os.ReadFile(config)
	must(t, err)
	if !strings.HasPrefix(string(data), "# ours\nlog-level: error\nthreads: ") {
		t.Errorf("the settings file is now:\n%s", data)
	}
	if info, err := os.Stat(config); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is now %v, %v", info.Mode(), err)
	}
}
