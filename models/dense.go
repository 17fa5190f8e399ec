package models

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// What a dense layer does to each number that it gives.
const (
	ActivationIdentity = "identity"
	ActivationTanh     = "tanh"
	ActivationReLU     = "relu"
	ActivationSigmoid  = "sigmoid"
	ActivationGELU     = "gelu" // x · Φ(x), not the approximation by tanh
)

// Activations returns every activation.
func Activations() []string {
	return []string{ActivationIdentity, ActivationTanh, ActivationReLU, ActivationSigmoid, ActivationGELU}
}

const (
	maxDense  = 1 << 14 // components that a dense layer takes or gives
	maxHeader = 1 << 20 // bytes of a safetensors header
)

// Dense is a layer y = activation(W·x + b) after the pooling.
type Dense struct {
	// File holds the weights in the format safetensors: linear.weight [out, in] and, with a bias, linear.bias [out].
	File       File   `json:"file"`
	In         int    `json:"in"`
	Out        int    `json:"out"`
	Bias       bool   `json:"bias"`
	Activation string `json:"activation"`
}

func (d Dense) validate(field string) (errs []error) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(field+"."+format, args...))
		}
	}
	check(d.In >= 1 && d.In <= maxDense, "in (%d) must be 1 to %d", d.In, maxDense)
	check(d.Out >= 1 && d.Out <= maxDense, "out (%d) must be 1 to %d", d.Out, maxDense)
	check(slices.Contains(Activations(), d.Activation), "activation (%q) must be one of %q", d.Activation, Activations())
	return errs
}

// Read reads a layer's weights, [out, in] row by row, and its bias, [out] or nil, from a file.
func (d Dense) Read(path string) (weights, bias []float32, err error) {
	fail := func(err error) ([]float32, []float32, error) {
		return nil, nil, fmt.Errorf("reading the dense layer %s: %w", path, err)
	}
	if err := errors.Join(d.validate("dense")...); err != nil {
		return fail(err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	s, err := readSafetensors(f)
	if err != nil {
		return fail(err)
	}
	if weights, err = s.floats("linear.weight", d.Out, d.In); err != nil {
		return fail(err)
	}
	if d.Bias {
		if bias, err = s.floats("linear.bias", d.Out); err != nil {
			return fail(err)
		}
	}
	return weights, bias, nil
}

// safetensors is a file of that format: eight bytes that give the header's length, the header in JSON, and the numbers, little-endian.
type safetensors struct {
	file    io.ReaderAt
	start   int64 // of the numbers
	tensors map[string]safetensor
}

type safetensor struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

func readSafetensors(f io.ReaderAt) (*safetensors, error) {
	var size [8]byte
	if _, err := f.ReadAt(size[:], 0); err != nil {
		return nil, fmt.Errorf("the file is too short for safetensors: %w", err)
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxHeader {
		return nil, fmt.Errorf("the safetensors header would have %d bytes, more than %d: this is another format, or damaged", n, maxHeader)
	}
	header := make([]byte, n)
	if _, err := f.ReadAt(header, 8); err != nil {
		return nil, fmt.Errorf("the safetensors header is cut off: %w", err)
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(header, &entries); err != nil {
		return nil, fmt.Errorf("the safetensors header: %w", err)
	}
	s := &safetensors{file: f, start: 8 + int64(n), tensors: map[string]safetensor{}}
	for name, entry := range entries {
		if name == "__metadata__" {
			continue
		}
		var t safetensor
		if err := json.Unmarshal(entry, &t); err != nil {
			return nil, fmt.Errorf("the safetensors header says of %.80q: %w", name, err)
		}
		s.tensors[name] = t
	}
	return s, nil
}

// floats reads a tensor of these dimensions, whose product the caller bounds.
func (s *safetensors) floats(name string, dims ...int) ([]float32, error) {
	t, ok := s.tensors[name]
	if !ok {
		return nil, fmt.Errorf("tensor %s is missing", name)
	}
	if !slices.Equal(t.Shape, dims) {
		return nil, fmt.Errorf("tensor %s has the shape %.80s, must be %v", name, fmt.Sprint(t.Shape), dims)
	}
	width := map[string]int64{"F32": 4, "F16": 2, "BF16": 2}[t.DType]
	if width == 0 {
		return nil, fmt.Errorf("tensor %s is of type %.20q, must be F32, F16 or BF16", name, t.DType)
	}
	count := int64(1)
	for _, d := range dims {
		count *= int64(d)
	}
	if t.Offsets[0] < 0 || t.Offsets[0] > math.MaxInt64/4 || t.Offsets[1]-t.Offsets[0] != count*width {
		return nil, fmt.Errorf("tensor %s lies at %d to %d, must have %d bytes", name, t.Offsets[0], t.Offsets[1], count*width)
	}
	// The last byte first: a header must not make memory be taken for numbers that are not there.
	if _, err := s.file.ReadAt(make([]byte, 1), s.start+t.Offsets[1]-1); err != nil {
		return nil, fmt.Errorf("tensor %s is cut off: %w", name, err)
	}
	raw := make([]byte, count*width)
	if _, err := s.file.ReadAt(raw, s.start+t.Offsets[0]); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", name, err)
	}
	values := make([]float32, count)
	for i := range values {
		switch t.DType {
		case "F32":
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		case "BF16":
			values[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		default:
			values[i] = Float16(binary.LittleEndian.Uint16(raw[2*i:]))
		}
		if v := float64(values[i]); math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("tensor %s has %g at place %d, must be finite", name, v, i)
		}
	}
	return values, nil
}
