package onnx

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// external is a constant whose numbers are in this file.
func external(name, location string) []byte {
	return message(1, 1, 2, Float, 8, name, 13, message(1, "location", 2, location), 13, message(1, "offset", 2, "0"), 14, 1)
}

// TestReadSignature: inputs, outputs and other files are found, wherever they are named, and no constant is an input.
func TestReadSignature(t *testing.T) {
	g := &Graph{Name: "all"}
	g.Input("ids", Int64, "rows", "tokens")
	g.Input("w", Float, 2)
	g.Floats("w", []float32{1, 2}, 2)
	g.Node("", "Op", "y", []string{"ids"})
	g.Output("y", Float, "rows", 3)
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil {
		t.Fatal(err)
	}
	inner := message(1, message(4, "Op", 5, message(1, "a", 5, external("i", "inner.bin"))))
	b.Write(message(7, append(message(5, external("e", "weights.bin"), 5, external("f", "weights.bin")), message(1, message(4, "If", 5, message(1, "then", 6, inner)))...)))
	b.Write(message(25, message(7, message(4, "Op", 5, message(1, "a", 5, external("h", "function.bin"))))))
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSignature(path)
	want := &Signature{
		Inputs: []Value{{Name: "ids", Type: Int64, Dims: []int64{-1, -1}}}, Outputs: []Value{{Name: "y", Type: Float, Dims: []int64{-1, 3}}},
		External: []string{"function.bin", "inner.bin", "weights.bin"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestReadSignatureFailure(t *testing.T) {
	f := func(data []byte, want string) {
		t.Helper()
		s, err := readSignature(bytes.NewReader(data), int64(len(data)))
		if !errors.Is(err, ErrMalformed) || s != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	deep := message(12, message(1, "y"))
	for range maxDepth + 1 {
		deep = message(1, message(5, message(6, deep)))
	}
	f(nil, "no graph with outputs")
	f([]byte("text"), "wire type")
	f([]byte{0x3a, 5, 1}, "5 bytes, 1 are left")
	f([]byte{0x08}, "cut off")
	f([]byte{0x08, 0x80}, "cut off")
	f(append([]byte{0x08}, bytes.Repeat([]byte{0xff}, 10)...), "more than 64 bits")
	f(message(7, deep), "graphs inside each other")
	f(message(7, message(12, make([]byte, maxSmall+1))), "more than 65536")
	f(message(7, bytes.Repeat(message(12, message(1, "y")), maxEntries+1)), "more than 4096")
	if _, err := ReadSignature(filepath.Join(t.TempDir(), "absent.onnx")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}

// FuzzReadSignature: whatever the bytes, a signature or an error; what Read reads, ReadSignature reads alike.
func FuzzReadSignature(f *testing.F) {
	f.Add(model(12, message(1, "y"), 11, message(1, "x")))
	f.Add(model(12, message(1, "y"), 5, external("e", "weights.bin")))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readSignature(bytes.NewReader(data), int64(len(data)))
		if (s == nil) != errors.Is(err, ErrMalformed) {
			t.Fatalf("%v and %v", s, err)
		}
		if m, whole := Read(data); whole == nil && err == nil && len(m.Outputs) != len(s.Outputs) {
			t.Fatalf("%d outputs, Read finds %d", len(s.Outputs), len(m.Outputs))
		}
	})
}
