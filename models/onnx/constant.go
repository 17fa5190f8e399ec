package onnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Constant is a constant of a source.
type Constant struct {
	Name string
	Type int
	Dims []int
	// Data are the elements, little-endian, row by row; nil where they are of a type for which there is no name in this package, or held in another way. They are the file's: not to be written to.
	Data []byte

	message []byte // as it stands in the file
	beside  bool   // Data lie in another file
}

// elementBytes is how many bytes an element has.
var elementBytes = map[int]int64{Float: 4, Uint8: 1, Int8: 1, Int32: 4, Int64: 8, Float16: 2, Double: 8}

func readConstant(data []byte) (*Constant, error) {
	c := &Constant{message: data, Dims: []int{}}
	var packed, loose, halves []byte
	err := each(data, func(f field) error {
		switch f.number {
		case 1:
			return numbers(f, protowire.VarintType, func(v uint64) { c.Dims = append(c.Dims, int(min(v, math.MaxInt64))) })
		case 2:
			c.Type = int(f.n)
		case 4: // floats: packed ones are as they are in raw bytes
			if f.wire == protowire.BytesType && packed == nil && loose == nil {
				packed = f.b
				return nil
			}
			if loose == nil {
				loose = bytes.Clone(packed)
			}
			return numbers(f, protowire.Fixed32Type, func(v uint64) { loose = binary.LittleEndian.AppendUint32(loose, uint32(v)) })
		case 5: // half precision by its bits, and other types
			return numbers(f, protowire.VarintType, func(v uint64) { halves = binary.LittleEndian.AppendUint16(halves, uint16(v)) })
		case 8:
			c.Name = string(f.b)
		case 9:
			if c.Data = f.b; c.Data == nil {
				c.Data = []byte{}
			}
		case 14:
			c.beside = f.n == 1
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("constant %.80q: %w", c.Name, err)
	case len(c.Dims) > 16:
		return nil, fmt.Errorf("constant %.80q has %d dimensions", c.Name, len(c.Dims))
	case c.beside || c.Data != nil:
	case c.Type == Float && loose != nil:
		c.Data = loose
	case c.Type == Float && packed != nil:
		c.Data = packed
	case c.Type == Float16 && halves != nil:
		c.Data = halves
	}
	if c.Data == nil || c.beside {
		return c, nil
	}
	return c, c.check(int64(len(c.Data)))
}

// elements is the product of the dimensions, with -1 for more than memory could hold.
func (c *Constant) elements() int64 {
	n := int64(1)
	for _, d := range c.Dims {
		if d < 0 || d > 0 && n > 1<<48/int64(d) {
			return -1
		}
		n *= int64(d)
	}
	return n
}

// check compares the dimensions with the bytes that there are.
func (c *Constant) check(held int64) error {
	width := elementBytes[c.Type]
	if width == 0 {
		return nil
	}
	if n := c.elements(); n < 0 || n*width != held {
		return fmt.Errorf("constant %.80q holds %d bytes, its dimensions say %.60s of %d", c.Name, held, fmt.Sprint(c.Dims), width)
	}
	return nil
}

// find takes the elements of a constant out of the file beside the model that they lie in.
func (c *Constant) find(beside func(string) ([]byte, error)) error {
	if !c.beside {
		return nil
	}
	var location string
	offset, length := int64(0), int64(-1)
	if err := each(c.message, func(f field) error {
		if f.number != 13 {
			return nil
		}
		key, value, err := entry(f.b)
		switch {
		case err != nil:
		case key == "location":
			location = value
		case key == "offset":
			offset, err = strconv.ParseInt(value, 10, 64)
		case key == "length":
			length, err = strconv.ParseInt(value, 10, 64)
		}
		return err
	}); err != nil {
		return malformed(fmt.Errorf("constant %.80q: %w", c.Name, err))
	}
	if elementBytes[c.Type] == 0 {
		return malformed(fmt.Errorf("constant %.80q lies in %.80q and is of the element type %d, which is not read there", c.Name, location, c.Type))
	}
	data, err := beside(location)
	if err != nil {
		return fmt.Errorf("constant %.80q: %w", c.Name, err)
	}
	size := int64(len(data))
	if length < 0 {
		length = size - offset
	}
	if offset < 0 || offset > size || length < 0 || length > size-offset {
		return malformed(fmt.Errorf("constant %.80q lies at byte %d of %.80q and has %d bytes, but the file has %d", c.Name, offset, location, length, size))
	}
	c.Data = data[offset : offset+length : offset+length]
	return malformed(c.check(length))
}

// readInside reads a constant inside a node, which is written as it stands and must not need another file.
func readInside(data []byte) (*Constant, error) {
	c, err := readConstant(data)
	if err == nil && c.beside {
		err = fmt.Errorf("constant %.80q, which is inside a node, lies in another file, which is not read: save the model again with onnx.save_model(…, convert_attribute=False)", c.Name)
	}
	return c, err
}
