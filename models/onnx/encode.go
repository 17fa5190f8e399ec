package onnx

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// MaxModel is how many bytes a model's file may have: Protobuf's messages end at 2 GiB. Constants beyond lie in a file beside it.
	MaxModel = 1<<31 - 1
	// besideFrom is from how many bytes on a constant lies in the file beside the model, if there is one, and besideAlign where it begins there, so
	// that it can be mapped into memory.
	besideFrom, besideAlign = 1 << 10, 1 << 12
)

// Encode writes the model. Constants are written as they are, never copied into one large message.
func (g *Graph) Encode(w io.Writer) error { return g.encode(w, g.tensors) }

// EncodeBeside writes the model to w and its larger constants to data, which is the file of that name in the model's folder.
func (g *Graph) EncodeBeside(w, data io.Writer, name string) error {
	tensors := slices.Clone(g.tensors)
	padding := make([]byte, besideAlign)
	var at int64
	for i, t := range tensors {
		if t.write == nil || t.size < besideFrom {
			continue
		}
		skipped := (besideAlign - at%besideAlign) % besideAlign
		if _, err := data.Write(padding[:skipped]); err != nil {
			return err
		}
		at += skipped
		if err := t.writeTo(data); err != nil {
			return err
		}
		header := slices.Clone(t.header)
		for _, entry := range [][2]string{{"location", name}, {"offset", strconv.FormatInt(at, 10)}, {"length", strconv.FormatInt(t.size, 10)}} {
			header = appendBytes(header, 13, appendString(appendString(nil, 1, entry[0]), 2, entry[1]))
		}
		tensors[i] = constant{header: appendInt(header, 14, 1)}
		at += t.size
	}
	return g.encode(w, tensors)
}

// Size is how many bytes Encode writes.
func (g *Graph) Size() int64 {
	head, tail := g.around()
	inside := int64(len(head)+len(tail)) + constantBytes(g.tensors)
	return int64(len(g.model())) + int64(protowire.SizeTag(7)+protowire.SizeVarint(uint64(inside))) + inside
}

func (g *Graph) encode(w io.Writer, tensors []constant) error {
	head, tail := g.around()
	model := g.model()
	model = protowire.AppendTag(model, 7, protowire.BytesType)
	model = protowire.AppendVarint(model, uint64(int64(len(head)+len(tail))+constantBytes(tensors)))
	if _, err := w.Write(append(model, head...)); err != nil {
		return err
	}
	for _, t := range tensors {
		b := protowire.AppendTag(nil, 5, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(t.bytes()))
		if b = append(b, t.header...); t.write != nil {
			b = protowire.AppendTag(b, 9, protowire.BytesType)
			b = protowire.AppendVarint(b, uint64(t.size))
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		if t.write == nil {
			continue
		}
		if err := t.writeTo(w); err != nil {
			return err
		}
	}
	_, err := w.Write(tail)
	return err
}

// writeTo writes the elements, and says when they are not as many as was promised.
func (c constant) writeTo(w io.Writer) error {
	counted := &counter{w: w}
	if err := c.write(counted); err != nil {
		return err
	}
	if counted.n != c.size {
		return fmt.Errorf("writing a constant: it has %d bytes, %d were promised", counted.n, c.size)
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// constantBytes is how many bytes constants have inside the graph.
func constantBytes(tensors []constant) (n int64) {
	for _, t := range tensors {
		n += int64(protowire.SizeTag(5)+protowire.SizeVarint(uint64(t.bytes()))) + t.bytes()
	}
	return n
}

// around returns the graph's fields before and after the constants.
func (g *Graph) around() (head, tail []byte) {
	for _, n := range g.nodes {
		head = appendBytes(head, 1, n)
	}
	if g.source != nil {
		return append(head, g.source.graph...), tail
	}
	head = appendString(head, 2, g.Name)
	for _, in := range g.inputs {
		tail = appendBytes(tail, 11, in)
	}
	for _, out := range g.outputs {
		tail = appendBytes(tail, 12, out)
	}
	return head, tail
}

// model returns the model's fields but the graph.
func (g *Graph) model() []byte {
	version, sets, metadata := int64(8), map[string]int64{"": 17, Microsoft: 1}, g.Metadata // IR version 8 belongs to operator set 17.
	var rest []byte
	if g.source != nil {
		version, sets, rest = max(g.source.version, 4), maps.Clone(g.source.sets), g.source.model // Before version 4 every constant was an input.
		if sets[Microsoft] == 0 {
			sets[Microsoft] = 1
		}
	}
	model := appendInt(nil, 1, version)
	model = appendString(model, 2, g.Producer)
	for _, domain := range slices.Sorted(maps.Keys(sets)) {
		model = appendBytes(model, 8, appendInt(appendString(nil, 1, domain), 2, sets[domain]))
	}
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		model = appendBytes(model, 14, appendString(appendString(nil, 1, name), 2, metadata[name]))
	}
	return append(model, rest...)
}
