package gliner2

import (
	"context"
	"errors"
	"strings"
	"testing"

	ort "github.com/yalue/onnxruntime_go"
)

// A context that ends while a run is going on ends the run: its output, which thousands of tokens take a while for, never comes.
func TestContextEndsRun(t *testing.T) {
	m := openModel(t, "tiny", Options{})
	const n = 12_000
	ids, mask := make([]int64, n), make([]int64, n)
	for i := range mask {
		ids[i], mask[i] = 5, 1
	}
	ctx, cancel := context.WithCancel(t.Context())
	last := func() (ort.Value, error) { // asked for just before the run
		go cancel()
		return ort.NewTensor(ort.NewShape(1, n), mask)
	}
	err := m.encoder.run(ctx, []input{wholes(ids, ort.NewShape(1, n)), last}, nil, func([]float32) error {
		t.Error("the run went on to its end")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
}

// What a graph gives is never read as what it is not.
func TestRunOfAnotherShape(t *testing.T) {
	m := openModel(t, "tiny", Options{})
	vector := floats(make([]float32, 16), 1, 16)
	_, err := m.classifier.values(t.Context(), []input{vector}, 1, 2)
	if err == nil || !strings.Contains(err.Error(), "running onnx/classifier.onnx: its output has the shape [1 1], must have [1 2]") {
		t.Errorf("an output of another shape: %v", err)
	}
	if _, err := m.classifier.values(t.Context(), []input{floats(make([]float32, 15), 1, 15)}, 1, 1); err == nil || !strings.Contains(err.Error(), "running onnx/classifier.onnx") {
		t.Errorf("an input of another shape: %v", err)
	}
	failed := errors.New("of the caller")
	if err := m.classifier.run(t.Context(), []input{vector}, nil, func([]float32) error { return failed }); err != failed {
		t.Errorf("an error of the caller: %v", err)
	}
}
