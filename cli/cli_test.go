package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"jobstrom/cluster/clustertest"
	"jobstrom/embedded"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/schemas"
	"jobstrom/telemetry/logtest"
)

// TestMain lets this test binary be jobstrom itself, so that tests and README's commands run the real thing.
func TestMain(m *testing.M) {
	if os.Getenv("JOBSTROM_TEST_MAIN") != "" || len(os.Args) > 1 && os.Args[1] == embedded.EngineCommand {
		os.Exit(Main(os.Args[1:]))
	}
	// Tests see the settings they set and no others.
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "JOBSTROM_") && name != "JOBSTROM_NATIVE" && name != clustertest.Env {
			os.Unsetenv(name)
		}
	}
	os.Exit(clustertest.Main(m))
}

// jobstrom runs a command line in this process.
func jobstrom(t *testing.T, in string, args ...string) (status int, out, errOut string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var o, e logtest.Buffer // clients may log after the command has ended
	status = run(ctx, args, strings.NewReader(in), &o, &e)
	return status, o.String(), e.String()
}

// write puts a file into a temporary folder.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// taken returns a port that somebody listens on.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// Bad input gets an error that says what was wrong, where, and what to do; the good lines beside it are answered.
func TestBadInput(t *testing.T) {
	const good = `{"id":"good","title":"Murer","text":"Vi søger en murer til facaderenovering i Vejle."}`
	f := func(name string, status, answers int, input string, want ...string) {
		t.Helper()
		got, out, errOut := jobstrom(t, "", "classify", write(t, name, input))
		if got != status || strings.Count(out, "\n") != answers {
			t.Errorf("%s: status %d, want %d; %d answers, want %d; %s", name, got, status, strings.Count(out, "\n"), answers, errOut)
		}
		for _, w := range want {
			if !strings.Contains(errOut, w) {
				t.Errorf("%s: stderr %q does not say %q", name, errOut, w)
			}
		}
		if strings.Contains(errOut, "panic") || strings.Contains(errOut, "goroutine") {
			t.Errorf("%s: %s", name, errOut)
		}
	}
	f("good.jsonl", 0, 1, good)
	f("json.jsonl", 3, 2, good+"\n{\"text\": \n"+good, "json.jsonl:2: malformed vacancy: not a JSON object")
	f("utf8.jsonl", 3, 1, "{\"text\":\"bl\xe5b\xe6r\"}\n"+good, "utf8.jsonl:1: malformed vacancy: byte 11 is not UTF-8: publish UTF-8")
	f("text.jsonl", 3, 1, "{\"title\":\"Kok\"}\n"+good, "text.jsonl:1: malformed vacancy: text is missing or empty")
	f("large.jsonl", 3, 1, `{"text":"`+strings.Repeat("kok ", 5<<18)+"\"}\n"+good, "large.jsonl:1: malformed vacancy: text has 5242880 bytes, the limit is 1000000")
	f("nothing.jsonl", 3, 1, "{\"text\":\"?\"}\n"+good, "nothing.jsonl:1: nothing extracted: 0 characters, at least 10 are needed")
	f("empty.jsonl", 1, 0, "", "the file is empty")
	f("column.csv", 1, 0, "title,body\nKok,x\n", "has no column text")
	f("fields.csv", 3, 1, "title,text\nKok\nMurer,Vi søger en murer til facaderenovering\n", "fields.csv:2: malformed vacancy: wrong number of fields")
}

func TestBadSurroundings(t *testing.T) {
	native, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	corrupt := t.TempDir()
	if err := os.CopyFS(corrupt, os.DirFS(filepath.Join(native, models.DefaultEncoder))); err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(corrupt, "model.onnx")
	if err := os.Truncate(model, 1000); err != nil {
		t.Fatal(err)
	}
	f := func(want []string, status int, args ...string) {
		t.Helper()
		got, _, errOut := jobstrom(t, `{"text":"Vi søger en kok"}`, append(args, "--data", t.TempDir())...)
		if got != status {
			t.Errorf("%v: status %d, want %d: %s", args, got, status, errOut)
		}
		for _, w := range want {
			if !strings.Contains(errOut, w) {
				t.Errorf("%v: stderr %q does not say %q", args, errOut, w)
			}
		}
	}
	f([]string{"model.onnx", "jobstrom convert"}, 1, "classify", "-", "--encoder", corrupt)
	f([]string{"/nowhere", "make setup"}, 1, "classify", "-", "--encoder", "/nowhere")
	f([]string{"/nowhere.so", "make setup"}, 1, "classify", "-", "--onnxruntime", "/nowhere.so")
	f([]string{"/nowhere/chdb.so"}, 1, "up", "--chdb", "/nowhere/chdb.so", "--kafka-port", "0", "--http", "127.0.0.1:0")
	kafka := taken(t)
	f([]string{"port " + kafka + " is taken", "--kafka-port"}, 1, "up", "--kafka-port", kafka, "--clickhouse-port", "0", "--clickhouse-http-port", "0", "--http", "127.0.0.1:0")
	f([]string{"reading vacancies", "no such file"}, 1, "classify", "/nowhere.jsonl")
	f([]string{"nothing listens there", "jobstrom up"}, 1, "produce", "-", "--kafka-port", "1")
	f([]string{"unknown command"}, 1, "frobnicate")
	f([]string{"unknown flag", "--help"}, 2, "classify", "-", "--frobnicate")
	f([]string{"accepts 1 arg"}, 2, "classify")
	f([]string{"needs --brokers"}, 2, "run", "embed")
	f([]string{"run embed needs --clickhouse for --embed-reuse"}, 2, "run", "embed", "--embed-reuse", "--brokers", "localhost:9092")
	// Every violation at once, with name, value and bound.
	f([]string{"kafka-port (70000) must be 0 to 65535", "partitions (0) must be 1 to 10000", "brokers (nonsense) must be host:port", "prior (guess)", "retention (5s) must be 0 or at least 1h0m0s"}, 2,
		"classify", "-", "--kafka-port", "70000", "--partitions", "0", "--brokers", "nonsense", "--prior", "guess", "--retention", "5s")
}

func TestConfigurationOrder(t *testing.T) {
	f := func(want int, file, environment string, args ...string) {
		t.Helper()
		t.Chdir(t.TempDir())
		if file != "" {
			if err := os.WriteFile(configFile, []byte(file), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if environment != "" {
			t.Setenv("JOBSTROM_PARTITIONS", environment)
		}
		a := &app{}
		root := a.root()
		root.SetArgs(append([]string{"version"}, args...))
		a.out = &bytes.Buffer{}
		if err := root.Execute(); err != nil || a.config.Partitions != want {
			t.Fatalf("file %q, environment %q, flags %q: %d partitions, %v; want %d", file, environment, args, a.config.Partitions, err, want)
		}
		os.Unsetenv("JOBSTROM_PARTITIONS")
	}
	f(4, "", "")
	f(5, "partitions: 5\nbrokers: [a:1, b:2]\n", "")
	f(6, "partitions: 5\n", "6")
	f(7, "partitions: 5\n", "6", "--partitions", "7")
	t.Chdir(t.TempDir())
	if err := os.WriteFile(configFile, []byte("partitoins: 5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := jobstrom(t, "", "version"); status != 2 || !strings.Contains(errOut, "partitoins") {
		t.Fatalf("a misspelt setting: status %d, %s", status, errOut)
	}
}

func TestEvaluateAnswersMachines(t *testing.T) {
	status, out, errOut := jobstrom(t, "", "evaluate", "../samples/unseen.jsonl", "--format", "json")
	var got struct {
		N       int     `json:"n"`
		Top1    float64 `json:"top1"`
		Top3    float64 `json:"top3"`
		MacroF1 float64 `json:"macro_f1"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != 0 {
		t.Fatalf("status %d, %v: %s", status, err, errOut)
	}
	t.Logf("unseen: n %d, top-1 %.3f, top-3 %.3f, macro F1 %.3f", got.N, got.Top1, got.Top3, got.MacroF1)
	// The floors lie below what was measured: they catch a broken classifier, not a category that moves by one.
	if got.N != 110 || got.Top1 < .86 || got.Top3 < .96 {
		t.Fatalf("got %+v", got)
	}
}

// Another classifier answers where a file of one is named.
func TestOtherClassifier(t *testing.T) {
	card, err := models.ReadEncoderCard((&app{}).encoderDir())
	must(t, err)
	c, err := classify.DefaultModel(card.ID)
	must(t, err)
	c = proto.Clone(c).(*schemas.Classifier)
	for row := range c.Bias {
		if models.Owner(c, row) == 3 {
			c.Bias[row] += 1000
		}
	}
	must(t, models.SealClassifier(c))
	data, err := models.EncodeClassifier(c)
	must(t, err)
	status, out, errOut := jobstrom(t, `{"text":"Vi søger en tømrer til tagarbejde."}`, "classify", "-", "--classifier", write(t, "apprentices.bin", string(data)))
	if status != 0 || !strings.Contains(out, `"category":"Elever"`) || !strings.Contains(out, c.Id) {
		t.Errorf("status %d: %s%s", status, out, errOut)
	}
	f := func(want, file string) {
		t.Helper()
		if status, _, errOut := jobstrom(t, "", "evaluate", "../samples/unseen.jsonl", "--classifier", file); status != 1 || !strings.Contains(errOut, want) {
			t.Errorf("status %d: %s", status, errOut)
		}
	}
	other, err := models.EncodeClassifier(trained(t, 1, noon))
	must(t, err)
	f("it takes those of eeeeeeeeeeee", write(t, "other.bin", string(other)))
	f("decoding classifier", write(t, "text.bin", "no classifier"))
	f("no such file", "./absent.bin")
}

func TestCheck(t *testing.T) {
	args := []string{"check", "--kafka-port", "0", "--clickhouse-port", "0", "--clickhouse-http-port", "0", "--http", "127.0.0.1:0", "--data", t.TempDir()}
	if status, out, errOut := jobstrom(t, "", args...); status != 0 {
		t.Fatalf("status %d: %s%s", status, out, errOut)
	}
	status, out, _ := jobstrom(t, "", append(args, "--http", "127.0.0.1:"+taken(t), "--format", "json")...)
	var findings []finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil || status != 1 {
		t.Fatalf("status %d, %v: %s", status, err, out)
	}
	for _, f := range findings {
		if f.OK != (f.Check != "web address") {
			t.Errorf("%+v", f)
		}
	}
}

func TestHelpTeaches(t *testing.T) {
	for _, c := range (&app{}).root().Commands() {
		status, out, _ := jobstrom(t, "", c.Name(), "--help")
		if status != 0 || !strings.Contains(out, c.Short) && c.Long == "" || !strings.Contains(out, "--kafka-port") {
			t.Errorf("%s --help: status %d: %.200s", c.Name(), status, out)
		}
	}
	if status, out, _ := jobstrom(t, "", "completion", "bash"); status != 0 || !strings.Contains(out, "jobstrom") {
		t.Errorf("shell completion: status %d, %.100s", status, out)
	}
	if _, out, _ := jobstrom(t, "", "version"); !strings.HasPrefix(out, "jobstrom "+version) {
		t.Errorf("version prints %q", out)
	}
}
