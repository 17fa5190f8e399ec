package models

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// safetensorsFile writes a file of this header and these bytes of numbers.
func safetensorsFile(t *testing.T, header string, numbers []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.safetensors")
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	if err := os.WriteFile(path, append(append(b, header...), numbers...), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDenseRead(t *testing.T) {
	f := func(dtype string, width int, numbers []byte) {
		t.Helper()
		header := fmt.Sprintf(`{"__metadata__": {"format": "pt"}, "linear.weight": {"dtype": %q, "shape": [1, 2], "data_offsets": [0, %d]}, "linear.bias": {"dtype": %q, "shape": [1], "data_offsets": [%d, %d]}}`, dtype, 2*width, dtype, 2*width, 3*width)
		path := safetensorsFile(t, header, numbers)
		weights, bias, err := Dense{In: 2, Out: 1, Bias: true, Activation: ActivationTanh}.Read(path)
		if err != nil || !cmp.Equal(weights, []float32{1.5, -2}) || !cmp.Equal(bias, []float32{.25}) {
			t.Errorf("%s: %v, %v, %v", dtype, weights, bias, err)
		}
	}
	var wide []byte
	for _, x := range []float32{1.5, -2, .25} {
		wide = binary.LittleEndian.AppendUint32(wide, math.Float32bits(x))
	}
	f("F32", 4, wide)
	f("F16", 2, []byte{0x00, 0x3e, 0x00, 0xc0, 0x00, 0x34})
	f("BF16", 2, []byte{0xc0, 0x3f, 0x00, 0xc0, 0x80, 0x3e})
}

func TestDenseReadFailure(t *testing.T) {
	layer := Dense{In: 2, Out: 1, Activation: ActivationTanh}
	f := func(header string, numbers []byte, want string) {
		t.Helper()
		if w, _, err := layer.Read(safetensorsFile(t, header, numbers)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, %v, want %q", header, w, err, want)
		}
	}
	tensor := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"linear.weight": {"dtype": %q, "shape": %s, "data_offsets": %s}}`, dtype, shape, offsets)
	}
	f(`{}`, nil, "linear.weight is missing")
	f(`{`, nil, "header")
	f(`{"linear.weight": 1}`, nil, "says of")
	f(tensor("F32", "[2, 1]", "[0, 8]"), make([]byte, 8), "has the shape [2 1], must be [1 2]")
	f(tensor("I64", "[1, 2]", "[0, 16]"), make([]byte, 16), "must be F32, F16 or BF16")
	f(tensor("F32", "[1, 2]", "[0, 4]"), make([]byte, 8), "must have 8 bytes")
	f(tensor("F32", "[1, 2]", "[-8, 0]"), make([]byte, 8), "must have 8 bytes")
	f(tensor("F32", "[1, 2]", "[0, 8]"), make([]byte, 7), "cut off")
	f(tensor("F32", "[1, 2]", "[0, 8]"), []byte{0, 0, 0xc0, 0x7f, 0, 0, 0, 0}, "must be finite")
	f(tensor("F16", "[1, 2]", "[0, 4]"), []byte{0x00, 0x7e, 0, 0}, "must be finite")
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("abc"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := layer.Read(short); err == nil || !strings.Contains(err.Error(), "too short") {
		t.Errorf("a short file: %v", err)
	}
}
