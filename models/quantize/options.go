package quantize

import (
	"errors"
	"fmt"
	"slices"
)

// Kind is how products with constant matrices are computed.
type Kind string

const (
	// Int8 multiplies 8-bit integers, with a scale for each output and each token: the fastest, the default.
	Int8 Kind = "int8"
	// Q8 keeps weights in blocks of 8 bits: nearly exact, smaller, not faster.
	Q8 Kind = "q8"
	// Q4 keeps weights in blocks of 4 bits: the smallest.
	Q4 Kind = "q4"
)

// Kinds returns all kinds, the default first.
func Kinds() []Kind { return []Kind{Int8, Q8, Q4} }

func (k Kind) bits() int {
	if k == Q4 {
		return 4
	}
	return 8
}

// FloatEmbeddings leaves the word embeddings as they are.
const FloatEmbeddings = 32

// Options says how an encoder is quantised.
type Options struct {
	// Kind of the products. Default: Int8.
	Kind Kind
	// Block is how many weights of a row, or of a word's embedding, have a scale of their own. Default: 32.
	Block int
	// Accuracy is MatMulNBits' accuracy_level, of the kinds with blocks: 4 rounds activations to 8 bits, block by block, 1 computes with them as they are. Default: 4.
	Accuracy int
	// Range is the largest integer of a weight of Int8, SafeRange or WholeRange. Default: SafeRange, with which every processor gives the same vectors.
	Range int
	// Embeddings is how many bits a number of the word embeddings has, in blocks: 4, 8 or FloatEmbeddings. Default: 4 with Q4, else 8.
	Embeddings int
	// Keep names nodes of the graph that are left as they are; * stands for any characters. Default: none.
	Keep []string
	// Accept is asked about the encoder's finished folder before it takes its place: an error leaves everything as it was. nil accepts.
	Accept func(dir string, r Result) error
	// Progress is told how much of a phase is done. nil: nobody is.
	Progress func(phase string, done, of int)

	maxModel int64 // bytes that the graph's file may have, see onnx.MaxModel
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	if o.Kind == "" {
		o.Kind = Int8
	}
	if o.Block == 0 {
		o.Block = 32
	}
	if o.Accuracy == 0 {
		o.Accuracy = 4
	}
	if o.Range == 0 {
		o.Range = SafeRange
	}
	if o.Embeddings == 0 {
		o.Embeddings = 8
		if o.Kind == Q4 {
			o.Embeddings = 4
		}
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if o.Accept == nil {
		o.Accept = func(string, Result) error { return nil }
	}
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(slices.Contains(Kinds(), o.Kind), "Kind (%s) must be one of %v", o.Kind, Kinds())
	check(slices.Contains([]int{16, 32, 64, 128, 256}, o.Block), "Block (%d) must be 16, 32, 64, 128 or 256", o.Block)
	check(o.Accuracy == 1 || o.Accuracy == 4, "Accuracy (%d) must be 1 (activations as they are) or 4 (in 8 bits)", o.Accuracy)
	check(o.Range == SafeRange || o.Range == WholeRange, "Range (%d) must be %d or %d", o.Range, SafeRange, WholeRange)
	check(slices.Contains([]int{4, 8, FloatEmbeddings}, o.Embeddings), "Embeddings (%d) must be 4, 8 or %d (as they are)", o.Embeddings, FloatEmbeddings)
	check(!slices.Contains(o.Keep, ""), "Keep has an empty name")
	return errors.Join(errs...)
}

// String names what decides the vectors.
func (o Options) String() string {
	s := string(o.Kind)
	if o.Kind == Int8 {
		s += fmt.Sprintf(", weights to %d", o.Range)
	} else {
		s += fmt.Sprintf(", blocks of %d, accuracy %d", o.Block, o.Accuracy)
	}
	if o.Embeddings != FloatEmbeddings {
		s += fmt.Sprintf(", embeddings of %d bits in blocks of %d", o.Embeddings, o.Block)
	}
	if len(o.Keep) > 0 {
		s += fmt.Sprintf(", without %q", o.Keep)
	}
	return s
}
