//go:build peers

package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// The script makes of a random checkpoint, which gliner2 wrote, the folder that lies in testdata; of others it says what is wrong, and leaves nothing behind.
func TestExport(t *testing.T) {
	native, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(native, "bench-extract", "bin", "python")
	checkpoint, dir := filepath.Join(t.TempDir(), "checkpoint"), filepath.Join(t.TempDir(), "made")
	writer := exec.CommandContext(t.Context(), python, "-W", "ignore", "../testdata/make_goldens.py", "--checkpoint", "tiny", checkpoint)
	if said, err := writer.CombinedOutput(); err != nil {
		t.Fatalf("making the checkpoint: %v: %s; `make test-peers` installs what it needs", err, said)
	}
	var said bytes.Buffer
	if err := Run(t.Context(), Options{Checkpoint: checkpoint, Dir: dir, Python: python, Progress: &said}); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	for _, want := range []string{"loading " + checkpoint, "writing encoder: ", "greatest difference to the checkpoint: fp32 "} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it says %q, not %q", said.String(), want)
		}
	}
	committed := filepath.Join("..", "testdata", "tiny")
	for _, name := range []string{"gliner2_config.json", "config.json", "tokenizer.json"} {
		if got, want := readJSON(t, filepath.Join(dir, name)), readJSON(t, filepath.Join(committed, name)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s differs from the committed one", name)
		}
	}
	compareGraphs(t, native, dir, committed)

	if err := Run(t.Context(), Options{Checkpoint: checkpoint, Dir: dir, Python: python}); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("into a folder that is full: %v", err)
	}
	elsewhere := filepath.Join(t.TempDir(), "other")
	if err := os.Truncate(filepath.Join(checkpoint, "model.safetensors"), 1000); err != nil {
		t.Fatal(err)
	}
	for of, want := range map[string]string{checkpoint: "loading " + checkpoint, t.TempDir(): "config.json is missing", "/nowhere": "no such folder"} {
		err := Run(t.Context(), Options{Checkpoint: of, Dir: elsewhere, Python: python})
		if err == nil || errors.Is(err, ErrPackages) || !strings.Contains(err.Error(), want) {
			t.Errorf("of %s: %v, want %q", of, err, want)
		}
	}
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("a failed export left a folder behind")
	}
}

func readJSON(t *testing.T, path string) any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// compareGraphs runs the graphs of two folders on the same random input.
func compareGraphs(t *testing.T, native, got, want string) {
	t.Helper()
	if err := onnx.Open(filepath.Join(native, models.LibraryONNXRuntime)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { onnx.Close() }) // after the tensors
	const rows, tokens, spans, width = 2, 90, 40, 16
	random := rand.New(rand.NewPCG(1, 2))
	whole := func(below int64, dims ...int64) ort.Value {
		return tensor(t, dims, func() int64 { return random.Int64N(below) })
	}
	float := func(dims ...int64) ort.Value {
		return tensor(t, dims, func() float32 { return float32(random.NormFloat64()) })
	}
	one := tensor(t, []int64{rows, tokens}, func() int64 { return 1 })
	graphs := []struct {
		name, output string
		inputs       []string
		values       []ort.Value
	}{
		{"encoder", "hidden_states", []string{"input_ids", "attention_mask"}, []ort.Value{whole(600, rows, tokens), one}},
		{"span_rep", "span_representations", []string{"hidden_states", "span_start_idx", "span_end_idx"}, []ort.Value{float(rows, tokens, width), whole(tokens, rows, spans), whole(tokens, rows, spans)}},
		{"count_embed", "transformed_embeddings", []string{"label_embeddings"}, []ort.Value{float(5, width)}},
		{"classifier", "logit", []string{"hidden_state"}, []ort.Value{float(5, width)}},
		{"count_pred", "count_logits", []string{"hidden_state"}, []ort.Value{float(5, width)}},
	}
	for _, g := range graphs {
		for _, suffix := range []string{"", "_fp16"} {
			var outputs [2][]float32
			for i, dir := range []string{got, want} {
				session, err := onnx.Session(filepath.Join(dir, "onnx", g.name+suffix+".onnx"), g.inputs, []string{g.output}, onnx.Execution{Provider: onnx.CPU, Threads: 1, Runs: 1})
				if err != nil {
					t.Fatal(err)
				}
				out := []ort.Value{nil}
				if err := session.Run(g.values, out); err != nil {
					t.Fatal(err)
				}
				outputs[i] = append(outputs[i], out[0].(*ort.Tensor[float32]).GetData()...)
				if err := errors.Join(out[0].Destroy(), session.Destroy()); err != nil {
					t.Fatal(err)
				}
			}
			if len(outputs[0]) == 0 || len(outputs[0]) != len(outputs[1]) {
				t.Fatalf("%s%s gives %d numbers, the committed one %d", g.name, suffix, len(outputs[0]), len(outputs[1]))
			}
			for i, v := range outputs[0] {
				if d := math.Abs(float64(v - outputs[1][i])); !(d <= 1e-5) {
					t.Errorf("%s%s differs by %g from the committed one", g.name, suffix, d)
					break
				}
			}
		}
	}
}

func tensor[T int64 | float32](t *testing.T, dims []int64, value func() T) ort.Value {
	t.Helper()
	shape := ort.NewShape(dims...)
	values := make([]T, shape.FlattenedSize())
	for i := range values {
		values[i] = value()
	}
	v, err := ort.NewTensor(shape, values)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Destroy() })
	return v
}
