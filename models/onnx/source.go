package onnx

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxNodes bounds a source's nodes and constants: deep encoders have a few thousand.
const maxNodes = 1 << 17

// Source is a model that is read to be written again with changes. What it holds beside the nodes and constants of its graph is
// written as it stands.
type Source struct {
	// Nodes are the graph's, in the order of the file.
	Nodes []SourceNode
	// Constants are the graph's by their names.
	Constants map[string]*Constant
	// Inputs and Outputs are the graph's. Inputs that have a constant as default are among the constants only.
	Inputs, Outputs []Value

	order   []string // of the constants
	version int64
	sets    map[string]int64
	model   []byte // the model's fields but version, producer, operator sets and graph
	graph   []byte // the graph's fields but nodes and constants
}

// SourceNode is a node as it stands in the file.
type SourceNode struct {
	Node
	// Value is the constant that a node Constant gives.
	Value *Constant
	// Inner are the names that graphs inside the node take from around them, and of what they make themselves.
	Inner []string

	raw []byte
}

// ReadSource reads a model. beside returns the bytes of another file that constants lie in, by its name in the model. The bytes may come from anyone, and are kept, not
// copied: they may be a file that is mapped into memory. Every error but those of beside wraps ErrMalformed.
func ReadSource(data []byte, beside func(location string) ([]byte, error)) (*Source, error) {
	s := &Source{Constants: map[string]*Constant{}, sets: map[string]int64{}}
	if err := s.read(data, beside); err != nil {
		return nil, err
	}
	if len(s.Nodes) == 0 {
		return nil, malformed(errors.New("there is no graph with operators"))
	}
	s.Inputs = slices.DeleteFunc(s.Inputs, func(v Value) bool { return s.Constants[v.Name] != nil })
	return s, nil
}

func malformed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

func (s *Source) read(data []byte, beside func(string) ([]byte, error)) error {
	err := each(data, func(f field) error {
		switch f.number {
		case 1:
			s.version = int64(f.n)
		case 2: // the producer is who writes it next
		case 7:
			return s.readGraph(f.b)
		case 8:
			var domain string
			var version int64
			err := each(f.b, func(f field) error {
				switch f.number {
				case 1:
					domain = string(f.b)
				case 2:
					version = int64(f.n)
				}
				return nil
			})
			if domain == "ai.onnx" {
				domain = ""
			}
			s.sets[domain] = version
			return errors.Join(err, room(len(s.sets)))
		case 25:
			return errors.New("it brings operators of its own (functions), which are not read")
		default:
			s.model = f.append(s.model)
		}
		return nil
	})
	if err != nil {
		return malformed(err)
	}
	for _, name := range s.order {
		if err := s.Constants[name].find(beside); err != nil {
			return err
		}
	}
	return nil
}

// append writes a field as it was read.
func (f field) append(b []byte) []byte {
	b = protowire.AppendTag(b, f.number, f.wire)
	switch f.wire {
	case protowire.VarintType:
		return protowire.AppendVarint(b, f.n)
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(b, uint32(f.n))
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(b, f.n)
	}
	return protowire.AppendBytes(b, f.b)
}

func (s *Source) readGraph(data []byte) error {
	return each(data, func(f field) error {
		if len(s.Nodes) > maxNodes || len(s.order) > maxNodes {
			return fmt.Errorf("more than %d nodes or constants", maxNodes)
		}
		switch f.number {
		case 1:
			n, err := readSourceNode(f.b)
			s.Nodes = append(s.Nodes, n)
			return err
		case 5:
			c, err := readConstant(f.b)
			if err != nil {
				return err
			}
			if s.Constants[c.Name] != nil {
				return fmt.Errorf("two constants are named %.80q", c.Name)
			}
			s.Constants[c.Name], s.order = c, append(s.order, c.Name)
			return nil
		case 11, 12:
			v, err := readValue(f.b)
			if f.number == 11 {
				s.Inputs = append(s.Inputs, v)
			} else {
				s.Outputs = append(s.Outputs, v)
			}
			s.graph = f.append(s.graph)
			return errors.Join(err, room(len(s.Inputs)+len(s.Outputs)))
		case 15:
			return errors.New("it has sparse constants, which are not read")
		}
		s.graph = f.append(s.graph)
		return nil
	})
}

func readSourceNode(data []byte) (SourceNode, error) {
	n := SourceNode{raw: data}
	var err error
	if n.Node, err = readNode(data, func([]byte) (*Tensor, error) { return nil, nil }); err != nil {
		return n, err
	}
	err = each(data, func(f field) error {
		if f.number != 5 {
			return nil
		}
		name := ""
		if err := each(f.b, func(f field) error {
			if f.number == 1 {
				name = string(f.b)
			}
			return nil
		}); err != nil {
			return err
		}
		if n.Op == "Constant" && name == "value" {
			err := each(f.b, func(f field) (err error) {
				if f.number == 5 {
					n.Value, err = readInside(f.b)
				}
				return err
			})
			return err
		}
		return innerNames(f.b, 0, &n.Inner)
	})
	return n, err
}

// innerNames collects what the nodes of graphs inside an attribute take, by its fields 6 and 11.
func innerNames(attribute []byte, depth int, names *[]string) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d graphs inside each other", maxDepth)
	}
	return each(attribute, func(f field) error {
		switch f.number {
		case 5, 10: // constants
			_, err := readInside(f.b)
			return err
		case 6, 11: // graphs
		default:
			return nil
		}
		return each(f.b, func(f field) error {
			switch f.number {
			case 1:
				return each(f.b, func(f field) error { // a node
					switch f.number {
					case 1:
						*names = append(*names, string(f.b))
					case 5:
						return innerNames(f.b, depth+1, names)
					}
					return nil
				})
			case 5:
				_, err := readInside(f.b)
				return err
			case 12:
				v, err := readValue(f.b)
				*names = append(*names, v.Name)
				return err
			}
			return nil
		})
	})
}

// Set returns the version of the operators of a domain that the model asks for; 0 for none.
func (s *Source) Set(domain string) int64 { return s.sets[domain] }

// Graph returns a graph with the inputs and outputs of the source, and all it has beside nodes and constants. Take brings those.
func (s *Source) Graph(producer string) *Graph { return &Graph{Producer: producer, source: s} }

// Take adds a node of the source as it stands.
func (g *Graph) Take(n SourceNode) { g.nodes = append(g.nodes, n.raw) }

// TakeConstants adds those constants of the source that are wanted, in the order of the file.
func (g *Graph) TakeConstants(wanted func(name string) bool) {
	for _, name := range g.source.order {
		c := g.source.Constants[name]
		switch {
		case !wanted(name):
		case c.Data == nil || elementBytes[c.Type] == 0:
			g.tensors = append(g.tensors, constant{header: c.message})
		default:
			g.Tensor(name, c.Type, c.Data, c.Dims...)
		}
	}
}

// DropInputs takes inputs out of the graph: those that had a constant which is there no more.
func (s *Source) DropInputs(gone func(name string) bool) error {
	var kept []byte
	err := each(s.graph, func(f field) error {
		if f.number == 11 {
			v, err := readValue(f.b)
			if err != nil {
				return err
			}
			if s.Constants[v.Name] != nil && gone(v.Name) {
				return nil
			}
		}
		kept = f.append(kept)
		return nil
	})
	s.graph = kept
	return malformed(err)
}

// Names calls with every name in the graph.
func (s *Source) Names(call func(string)) {
	for name := range s.Constants {
		call(name)
	}
	for _, v := range slices.Concat(s.Inputs, s.Outputs) {
		call(v.Name)
	}
	for _, n := range s.Nodes {
		call(n.Name)
		for _, name := range slices.Concat(n.Inputs, n.Outputs, n.Inner) {
			call(name)
		}
	}
}
