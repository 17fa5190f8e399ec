package onnx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxSmall bounds what ReadSignature takes into memory at once: a name, or what is said of an input.
const maxSmall = 1 << 16

// Signature is what a model takes and gives, and which other files it needs.
type Signature struct {
	// Inputs and Outputs are the graph's, in their order. Inputs that have a constant as default are left out.
	Inputs, Outputs []Value
	// External are the files that hold constants, relative to the model's folder, as the model names them, sorted.
	External []string
}

// ReadSignature reads the signature of a model in a file. The constants are passed over, so that a model of gigabytes costs little memory. The file
// may come from anyone: every error but those of the file system wraps ErrMalformed.
func ReadSignature(path string) (*Signature, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s, err := readSignature(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return s, nil
}

func readSignature(r io.Reader, size int64) (*Signature, error) {
	s := &scanner{r: bufio.NewReaderSize(r, 1<<16), constants: map[string]bool{}}
	if err := s.message(size, modelMessage, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(s.Outputs) == 0 {
		return nil, fmt.Errorf("%w: there is no graph with outputs", ErrMalformed)
	}
	s.Inputs = slices.DeleteFunc(s.Inputs, func(v Value) bool { return s.constants[v.Name] })
	slices.Sort(s.External)
	s.External = slices.Compact(s.External)
	return &s.Signature, nil
}

// Check compares what a model takes and gives with what it must. A dimension that must be free is -1 there, one that may be anything 0; what the model leaves free fits any.
func (s *Signature) Check(inputs, outputs []Value) error {
	for _, side := range []struct {
		takes     string
		got, want []Value
	}{{"takes", s.Inputs, inputs}, {"gives", s.Outputs, outputs}} {
		var names []string
		for _, v := range side.got {
			names = append(names, v.Name)
		}
		if len(side.got) != len(side.want) {
			return fmt.Errorf("it %s %d tensors (%.200q), must be %d", side.takes, len(side.got), names, len(side.want))
		}
		for _, want := range side.want {
			at := slices.Index(names, want.Name)
			if at < 0 {
				return fmt.Errorf("it %s %.200q, and no %s", side.takes, names, want.Name)
			}
			if err := side.got[at].check(want); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v Value) check(want Value) error {
	if v.Type != want.Type {
		return fmt.Errorf("%s has the element type %d, must be %d", v.Name, v.Type, want.Type)
	}
	fits := v.Dims == nil || len(v.Dims) == len(want.Dims)
	for i := range v.Dims {
		fits = fits && (v.Dims[i] < 0 || want.Dims[i] == 0 || v.Dims[i] == want.Dims[i])
	}
	if !fits {
		return fmt.Errorf("%s has the dimensions %.60s, must have %s, where -1 is free and 0 any", v.Name, fmt.Sprint(v.Dims), fmt.Sprint(want.Dims))
	}
	return nil
}

// messageKind is a message of onnx.proto that the scanner enters.
type messageKind int

const (
	modelMessage messageKind = iota
	graphMessage
	nodeMessage
	attributeMessage
	tensorMessage
	sparseMessage
	functionMessage
)

// enter says which fields of a message lead to graphs and constants, by the field numbers of onnx.proto.
var enter = map[messageKind]map[protowire.Number]messageKind{
	modelMessage:     {7: graphMessage, 25: functionMessage},
	graphMessage:     {1: nodeMessage, 5: tensorMessage, 15: sparseMessage},
	nodeMessage:      {5: attributeMessage},
	attributeMessage: {5: tensorMessage, 6: graphMessage, 10: tensorMessage, 11: graphMessage, 22: sparseMessage, 23: sparseMessage},
	sparseMessage:    {1: tensorMessage, 2: tensorMessage},
	functionMessage:  {7: nodeMessage},
}

// maxDepth bounds graphs inside operators of graphs.
const maxDepth = 32

// scanner walks through a model without keeping it.
type scanner struct {
	Signature
	r         *bufio.Reader
	constants map[string]bool // of the outermost graph
	named     int
}

// varint reads a number of at most left bytes and says how many it took.
func (s *scanner) varint(left int64) (v uint64, n int64, err error) {
	for shift := 0; shift < 64; shift += 7 {
		if n == left {
			return 0, n, errors.New("a number is cut off")
		}
		b, err := s.r.ReadByte()
		if err != nil {
			return 0, n, fmt.Errorf("the file is cut off: %w", err)
		}
		n++
		if v |= uint64(b&0x7f) << shift; b < 0x80 {
			return v, n, nil
		}
	}
	return 0, n, errors.New("a number has more than 64 bits")
}

// skip passes over bytes.
func (s *scanner) skip(n int64) error {
	for n > 0 {
		k, err := s.r.Discard(int(min(n, 1<<30)))
		if n -= int64(k); err != nil {
			return fmt.Errorf("the file is cut off: %w", err)
		}
	}
	return nil
}

// small reads a field that is kept.
func (s *scanner) small(n int64) ([]byte, error) {
	if n > maxSmall {
		return nil, fmt.Errorf("a name, input or output has %d bytes, more than %d", n, maxSmall)
	}
	if s.named++; s.named > 1<<20 {
		return nil, fmt.Errorf("more than %d constants, inputs and outputs", 1<<20)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		return nil, fmt.Errorf("the file is cut off: %w", err)
	}
	return b, nil
}

// message walks through a message of so many bytes. Graph is how many graphs are around it.
func (s *scanner) message(left int64, kind messageKind, graphs int) error {
	for left > 0 {
		tag, n, err := s.varint(left)
		if err != nil {
			return err
		}
		left -= n
		number, wire := protowire.DecodeTag(tag)
		size := int64(0)
		switch wire {
		case protowire.VarintType:
			_, n, err = s.varint(left)
			if left -= n; err != nil {
				return err
			}
			continue
		case protowire.Fixed32Type:
			size = 4
		case protowire.Fixed64Type:
			size = 8
		case protowire.BytesType:
			v, n, err := s.varint(left)
			if err != nil {
				return err
			}
			left -= n
			size = int64(min(v, 1<<62))
		default:
			return fmt.Errorf("field %d is of wire type %d, which ONNX does not use", number, wire)
		}
		if size > left {
			return fmt.Errorf("field %d has %d bytes, %d are left", number, size, left)
		}
		left -= size
		if wire != protowire.BytesType {
			err = s.skip(size)
		} else {
			err = s.field(number, size, kind, graphs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// field walks through a field that has bytes.
func (s *scanner) field(number protowire.Number, size int64, kind messageKind, graphs int) error {
	if inner, ok := enter[kind][number]; ok {
		if inner == graphMessage {
			if graphs++; graphs > maxDepth {
				return fmt.Errorf("more than %d graphs inside each other", maxDepth)
			}
		}
		return s.message(size, inner, graphs)
	}
	switch {
	case kind == graphMessage && graphs == 1 && (number == 11 || number == 12):
		b, err := s.small(size)
		if err != nil {
			return err
		}
		v, err := readValue(b)
		if err != nil {
			return err
		}
		if number == 11 {
			s.Inputs = append(s.Inputs, v)
		} else {
			s.Outputs = append(s.Outputs, v)
		}
		return room(max(len(s.Inputs), len(s.Outputs)) - 1)
	case kind == tensorMessage && number == 8:
		b, err := s.small(size)
		if err == nil && graphs == 1 {
			s.constants[string(b)] = true
		}
		return err
	case kind == tensorMessage && number == 13:
		b, err := s.small(size)
		if err != nil {
			return err
		}
		var key, value string
		if err := each(b, func(f field) error {
			switch f.number {
			case 1:
				key = string(f.b)
			case 2:
				value = string(f.b)
			}
			return nil
		}); err != nil {
			return err
		}
		if key == "location" && !slices.Contains(s.External, value) {
			s.External = append(s.External, value)
			return room(len(s.External) - 1)
		}
		return nil
	}
	return s.skip(size)
}
