package onnx

import (
	"path/filepath"
	"strings"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"jobstrom/models"
)

func open(t *testing.T) {
	t.Helper()
	dir, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := Open(filepath.Join(dir, models.LibraryONNXRuntime)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestGraphRuns: what is written runs, for any number of rows, and in float64 where it says so.
func TestGraphRuns(t *testing.T) {
	open(t)
	g := &Graph{Name: "scaled", Producer: "test"}
	g.Input("x", Float, "rows", 2)
	g.Floats("scale", []float32{2, 3}, 2)
	g.Ints("axis", 1)
	g.Node("", "Mul", "product", []string{"x", "scale"})
	g.Node("", "ReduceSum", "sum", []string{"product", "axis"}, IntAttribute("keepdims", 0))
	g.Node("", "Cast", "wide", []string{"sum"}, IntAttribute("to", Double))
	g.Output("wide", Double, "rows")
	s, err := g.Session([]string{"x"}, []string{"wide"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Destroy()
	for rows := range int64(3) {
		rows++
		x := []float32{1, 1, 10, 0, 0, 5}[:2*rows]
		in, err := ort.NewTensor(ort.NewShape(rows, 2), x)
		if err != nil {
			t.Fatal(err)
		}
		out, err := ort.NewEmptyTensor[float64](ort.NewShape(rows))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run([]ort.Value{in}, []ort.Value{out}); err != nil {
			t.Fatal(err)
		}
		for r, got := range out.GetData() {
			if want := float64(2*x[2*r] + 3*x[2*r+1]); got != want {
				t.Errorf("row %d of %d is %v, want %v", r, rows, got, want)
			}
		}
		in.Destroy()
		out.Destroy()
	}
}

func TestSessionFailure(t *testing.T) {
	open(t)
	g := &Graph{Name: "broken"}
	g.Input("x", Float, 1)
	g.Node("", "Unheard", "y", []string{"x"})
	g.Output("y", Float, 1)
	if _, err := g.Session([]string{"x"}, []string{"y"}, 1); err == nil || !strings.Contains(err.Error(), "loading graph broken") {
		t.Errorf("an unknown operator gives %v", err)
	}
	absent := filepath.Join(t.TempDir(), "absent.onnx")
	if _, err := Session(absent, []string{"x"}, []string{"y"}, Execution{CPU, 1, 1}); err == nil || !strings.Contains(err.Error(), "absent.onnx") {
		t.Errorf("an absent file gives %v", err)
	}
	if err := Open(absent); err == nil || !strings.Contains(err.Error(), "this process has it from") {
		t.Errorf("a second library gives %v", err)
	}
}
