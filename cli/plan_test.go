package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/capacity"
	"jobstrom/telemetry/logtest"
)

// plan runs jobstrom plan away from any settings and measurements of this machine.
func plan(t *testing.T, args ...string) (status int, out, said string) {
	t.Helper()
	var o, e logtest.Buffer
	status = run(t.Context(), append([]string{"plan", "--data", t.TempDir()}, args...), strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

func TestPlan(t *testing.T) {
	status, out, said := plan(t, "--vacancies-per-day", "50000")
	for _, want := range []string{"50,000 vacancies a day", "embed", "vacancies.embedded.*", "embedding_rows", "partitions: 36", "one process embeds"} {
		if status != 0 || !strings.Contains(out, want) {
			t.Fatalf("status %d, %s is missing:\n%s%s", status, want, out, said)
		}
	}
	status, out, said = plan(t, "--vacancies-per-day", "50000", "--replicas", "2", "--retention", "240h", "--replication", "2", "--format", "json")
	var p capacity.Plan
	if err := json.Unmarshal([]byte(out), &p); err != nil || status != 0 {
		t.Fatalf("status %d, %v: %s", status, err, said)
	}
	if p.Demand.Replicas != 2 || p.Demand.Keep.Hours() != 240 || p.Demand.Replication != 2 || p.Topics[3].Keep.Hours() != 30*24 {
		t.Errorf("planned for %+v", p.Demand)
	}
}

func TestPlanRefuses(t *testing.T) {
	f := func(want string, wantStatus int, args ...string) {
		t.Helper()
		if status, _, said := plan(t, args...); status != wantStatus || !strings.Contains(said, want) {
			t.Errorf("%q: status %d, %s", args, status, said)
		}
	}
	f("--vacancies-per-day", exitUsage)
	f("vacancies-per-day (-5)", exitUsage, "--vacancies-per-day", "-5")
	f("peak (0.5)", exitUsage, "--vacancies-per-day", "5", "--peak", ".5")
	f("server-disk (much)", exitUsage, "--vacancies-per-day", "5", "--server-disk", "much")
	f("vacancy-bytes (0)", exitUsage, "--vacancies-per-day", "5", "--vacancy-bytes", "0")
	f("no such file", exitFailed, "--vacancies-per-day", "5", "--measured", "/nowhere")
	broken := filepath.Join(t.TempDir(), "broken.json")
	must(t, os.WriteFile(broken, []byte(`{"embed_ms": 1}`), 0o600))
	f("bench tune --measured", exitFailed, "--vacancies-per-day", "5", "--measured", broken)
	another := capacity.BuiltIn()
	another.EncoderID = "another"
	must(t, another.Write(broken))
	encoder, err := filepath.Abs("../.native/encoders")
	must(t, err)
	folders, err := filepath.Glob(filepath.Join(encoder, "*", "card.json"))
	must(t, err)
	if len(folders) == 0 {
		t.Fatalf("%s holds no encoder: make setup converts one", encoder)
	}
	f("what was measured is", exitFailed, "--vacancies-per-day", "5", "--measured", broken, "--encoder", filepath.Dir(folders[0]))
}

// The commands of docs/capacity.md work as they stand there.
func TestCapacityDoc(t *testing.T) {
	dir := t.TempDir()
	clone(t, dir)
	must(t, os.Mkdir(filepath.Join(dir, "var"), 0o755))
	blocks := shellBlocks(t, "../docs/capacity.md")
	if len(blocks) < 2 {
		t.Fatalf("the document has %d blocks", len(blocks))
	}
	for _, block := range blocks {
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "vacanc") {
			t.Errorf("%s\n%v\n%s", block, err, out)
		}
	}
}
