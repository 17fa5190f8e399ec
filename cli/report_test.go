package cli

import (
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jobstrom/mlflow"
	"jobstrom/schemas"
	"jobstrom/telemetry/logtest"
	"jobstrom/trainer"
)

// trainedResult is the result of a training on two categories.
func trainedResult(t *testing.T) *trainer.Result {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 1))
	r, err := trainer.Run(t.Context(), func(yield func(trainer.Row, error) bool) {
		for i := range 200 {
			row := trainer.Row{ID: "v", Source: "s", Category: i % 2, Vector: make([]float32, 8)}
			for j := range row.Vector {
				row.Vector[j] = float32(random.NormFloat64() + float64(i%2))
			}
			if !yield(row, nil) {
				return
			}
		}
	}, trainer.RunOptions{Encoder: "nobody's", Taxonomy: schemas.Jobnet(), Settings: []trainer.Setting{{Method: trainer.MethodLBFGS, ClassWeights: trainer.WeightsNone, L2: 1e-2}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is reported is what is promoted, and a training ends well whatever becomes of MLflow.
func TestReport(t *testing.T) {
	log := &logtest.Buffer{} // a client may log after what it was asked for has ended
	a := &app{log: slog.New(slog.NewTextHandler(log, nil)), err: io.Discard}
	a.config.Brokers = []string{"127.0.0.1:1"} // nobody: the live model is not compared
	result := trainedResult(t)
	plain := result.Classifier.Id
	variants, err := trainer.Variants(t.Context(), result.Classifier, schemas.Jobnet(), result.TestPart.Examples, trainer.CompressOptions{Batches: -1})
	if err != nil {
		t.Fatal(err)
	}
	result.Take(variants[3])
	told, err := a.report(t.Context(), result, variants, publication{}, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if told.Model == plain || told.Model != result.Classifier.Id || told.Settings["variant_of"] != plain || told.Evaluation.Top1 != told.Variants[3].Top1 || told.Comparison != nil {
		t.Errorf("the report is of %s made of %s; the result is %s", told.Model, told.Settings["variant_of"], result.Classifier.Id)
	}
	if !strings.Contains(log.String(), "not compared") {
		t.Errorf("the log says %s", log.String())
	}
	run := trainingRun(result, told, 1, false)
	if run.Model != told.Model || run.Metrics["int8_bytes"] == 0 || run.Metrics["macro_f1_low"] > run.Metrics["macro_f1"] || !run.FinishedAt.Equal(told.Finished) {
		t.Errorf("the row is %+v", run)
	}
	file := write(t, "classifier.bin", "numbers")

	var asked []string
	var mutex sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		asked = append(asked, filepath.Base(r.URL.Path))
		io.WriteString(w, `{"experiment":{"experiment_id":"1"},"run":{"info":{"run_id":"r","artifact_uri":"mlflow-artifacts:/1/r/artifacts"}}}`)
	}))
	defer server.Close()
	t.Setenv(mlflow.TrackingURI, server.URL)
	if written, err := a.files(t.Context(), told, "", file); err != nil || len(written) != 0 {
		t.Fatalf("written %v, %v", written, err)
	}
	if got := strings.Join(asked, " "); !strings.Contains(got, "report.html report.json classifier.onnx classifier.bin update") {
		t.Errorf("MLflow was asked %s", got)
	}
	dir := filepath.Join(t.TempDir(), "training")
	t.Setenv(mlflow.TrackingURI, "http://127.0.0.1:1")
	log = &logtest.Buffer{}
	a.log = slog.New(slog.NewTextHandler(log, nil))
	written, err := a.files(t.Context(), told, dir, file)
	if err != nil || len(written) != 3 || !strings.Contains(log.String(), "not in MLflow") {
		t.Fatalf("written %v, %v; the log says %s", written, err, log.String())
	}
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var numbers outcome
	if err := json.Unmarshal(data, &numbers); err != nil || numbers.Model != told.Model || len(numbers.Variants) != 4 {
		t.Errorf("the numbers are of %s (%v)", numbers.Model, err)
	}
	if _, err := a.files(t.Context(), told, file, file); err == nil {
		t.Error("a report was written into a file")
	}
}

func TestTrainFlags(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		if status, _, errOut := jobstrom(t, "", append([]string{"train", "--dry-run"}, args...)...); status != 2 || !strings.Contains(errOut, want) {
			t.Errorf("%v: status %d, %s", args, status, errOut)
		}
	}
	f(`--variant is "zip": use one of [plain int8 pruned both]`, "--variant", "zip")
	f("--prune is 1: use a share above 0 and below 1", "--prune", "1")
	f(`--promote is "soon": use better, always or never`, "--promote", "soon")
	f(`--since is "monday": use a day like 2026-01-31`, "--since", "monday")
	f(`--origin is "web": use stream, api or all`, "--origin", "web")
	f("--since 2026-02-01 must be before --until 2026-02-01", "--since", "2026-02-01", "--until", "2026-02-01")
	f(`--memory is "much": use bytes like 4GiB`, "--memory", "much")
	f("Memory (1000 bytes) must be >= 16777216", "--memory", "1kB")
	f(`Method ("sgd") must be lbfgs or adamw`, "--method", "sgd")
	f(`ClassWeights ("some") must be one of`, "--class-weights", "some")
	f("AdamW.LearningRate (2) must be > 0 and <= 1", "--method", "adamw", "--learning-rate", "2")
	f("AdamW.Batch (-1) must be >= 1", "--method", "adamw", "--batch", "-1")
	f("L2 (0) must be > 0", "--l2", "1e-3,0")
	f(`Split ("coin") must be one of ["employer" "vacancy" "time"]`, "--split", "coin")
	f("Validation (0.6) and Test (0.4) must be > 0 and leave a share for training", "--validation", "0.6", "--test", "0.4")
	f("want a file that a training wrote", "--split-from", write(t, "split", "vacancy_id,part\n"))
	f("no such file", "--split-from", "absent.csv.gz")
	f("no such file", "--sweep", "absent.yaml")
	f("grid.yaml: reading the grid: line 1: learning_rate belongs to adamw, and the method is lbfgs", "--sweep", write(t, "grid.yaml", "learning_rate: 1e-3\n"))
	f("Folds (1) must be 0 or >= 2", "--folds", "1")
	f("LeaveOneOut needs lbfgs, and Settings[0] is adamw", "--leave-one-out", "--method", "adamw")
	f(`RankBy ("luck") must be one of`, "--rank", "luck")
}
