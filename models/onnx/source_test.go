package onnx

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// beside is a constant [2] of floats in another file.
func beside(name string, entries ...string) []byte {
	b := message(1, 2, 2, Float, 8, name, 14, 1)
	for i := 0; i < len(entries); i += 2 {
		b = append(b, message(13, message(1, entries[i], 2, entries[i+1]))...)
	}
	return b
}

// TestSourceWrittenAgain: a source that is written without changes says what it said, inside and beside, and elements come from wherever they are.
func TestSourceWrittenAgain(t *testing.T) {
	g := &Graph{Name: "all", Producer: "before", Metadata: map[string]string{"a": "1"}}
	g.Input("x", Float, "n", 2)
	g.Output("y", Float, "n", 2)
	g.Floats("floats", []float32{1.5, -2}, 2, 1)
	g.Floats("many", make([]float32, 600), 600)
	g.Tensor("strange", 21, []byte{1}, 2)
	g.Node("", "Op", "y", []string{"x", "floats"}, IntAttribute("i", -3))
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil {
		t.Fatal(err)
	}
	typed := message(1, 2, 2, Float, 8, "typed", 4, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}) // 1 and 2
	half := message(1, 2, 2, Float16, 8, "half", 5, []byte{0x80, 0x78, 0x80, 0x80, 1})       // 0x3c00 and 0x4000
	inner := message(1, message(1, "floats", 1, "x", 2, "z", 4, "Op"), 12, message(1, "z"))
	value := message(1, 2, 2, Float, 9, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40})
	b.Write(message(7, append(message(5, typed, 5, half, 5, beside("file", "location", "w.bin", "offset", "4", "length", "8")),
		message(1, message(2, "c", 4, "Constant", 5, message(1, "value", 5, value)), 1, message(4, "If", 5, message(1, "then", 6, inner)))...)))
	files := map[string][]byte{"w.bin": {9, 9, 9, 9, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 9}}
	read := func(data []byte) *Source {
		t.Helper()
		s, err := ReadSource(data, func(location string) ([]byte, error) { return files[location], nil })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := read(b.Bytes())
	again := s.Graph("after")
	for _, n := range s.Nodes {
		again.Take(n)
	}
	again.TakeConstants(func(name string) bool { return name != "many" })
	again.Floats("new", make([]float32, 512), 512)
	var inside, split, data bytes.Buffer
	if err := errors.Join(again.Encode(&inside), again.EncodeBeside(&split, &data, "new.bin")); err != nil {
		t.Fatal(err)
	}
	if int64(inside.Len()) != again.Size() || data.Len() != 2048 || split.Len() > inside.Len()-1900 {
		t.Errorf("%d bytes inside (%d were said), %d and %d beside", inside.Len(), again.Size(), split.Len(), data.Len())
	}
	files["new.bin"] = data.Bytes()
	for _, written := range [][]byte{inside.Bytes(), split.Bytes()} {
		r := read(written)
		if len(r.Nodes) != 3 || r.Nodes[1].Value == nil || r.Set("") != 17 || r.Set(Microsoft) != 1 {
			t.Errorf("read again it is %+v", r)
		}
		if diff := cmp.Diff([]string{"floats", "x", "z"}, r.Nodes[2].Inner); diff != "" {
			t.Errorf("names of inner graphs (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]any{s.Inputs, s.Outputs, s.Nodes[0].Node}, []any{r.Inputs, r.Outputs, r.Nodes[0].Node}); diff != "" {
			t.Errorf("(-before +after)\n%s", diff)
		}
		one := []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}
		for name, want := range map[string][]byte{
			"typed": one, "file": one, "half": {0, 0x3c, 0, 0x40}, "floats": {0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0}, "new": make([]byte, 2048),
		} {
			if c := r.Constants[name]; c == nil || !bytes.Equal(c.Data, want) {
				t.Errorf("constant %s is %+v", name, c)
			}
		}
		if r.Constants["many"] != nil || r.Constants["strange"] == nil {
			t.Error("other constants are there than were taken")
		}
		if !bytes.Contains(written, []byte("after")) || bytes.Contains(written, []byte("before")) || !bytes.Contains(written, message(14, message(1, "a", 2, "1"))) {
			t.Error("producer or metadata are others")
		}
	}
}

// TestInputsOfConstants: before IR version 4 every constant was an input, too; one that goes takes its input along.
func TestInputsOfConstants(t *testing.T) {
	data := message(1, 3, 8, message(2, 12), 7, message(1, message(1, "x", 2, "y", 4, "Op"),
		5, message(2, Int8, 8, "w", 9, []byte{1}), 5, message(2, Int8, 8, "v", 9, []byte{1}), 11, message(1, "x"), 11, message(1, "w"), 11, message(1, "v"), 12, message(1, "y")))
	s, err := ReadSource(data, nil)
	if err != nil || len(s.Inputs) != 1 {
		t.Fatal(s, err)
	}
	gone := func(name string) bool { return name == "w" || name == "x" }
	if err := s.DropInputs(gone); err != nil {
		t.Fatal(err)
	}
	g := s.Graph("")
	g.Take(s.Nodes[0])
	g.TakeConstants(func(name string) bool { return !gone(name) })
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil {
		t.Fatal(err)
	}
	m, err := Read(b.Bytes())
	if err != nil || len(m.Inputs) != 1 || m.Inputs[0].Name != "x" || m.Tensors["v"] == nil {
		t.Errorf("%+v, %v", m, err)
	}
	if !bytes.HasPrefix(b.Bytes(), message(1, 4)) || bytes.Contains(b.Bytes(), message(11, message(1, "w"))) {
		t.Error("the version or the inputs are as before")
	}
}

func TestReadSourceFailure(t *testing.T) {
	f := func(want string, data []byte) {
		t.Helper()
		s, err := ReadSource(data, func(location string) ([]byte, error) {
			if location != "w.bin" {
				return nil, os.ErrNotExist
			}
			return make([]byte, 12), nil
		})
		missing := errors.Is(err, os.ErrNotExist)
		if !errors.Is(err, ErrMalformed) && !missing || s != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	file := func(entries ...string) []byte { return model(5, beside("w", append(entries, "location", "w.bin")...)) }
	f("no graph with operators", nil)
	f("cut off", model()[:8])
	f("lies at byte 5 of \"w.bin\" and has 8 bytes, but the file has 12", file("offset", "5", "length", "8"))
	f("lies at byte -4", file("offset", "-4", "length", "8"))
	f("lies at byte 9223372036854775807", file("offset", "9223372036854775807", "length", "8"))
	f("has 9223372036854775807 bytes", file("offset", "4", "length", "9223372036854775807"))
	f("lies at byte 13", file("offset", "13"))
	f("invalid syntax", file("offset", "four"))
	f("out of range", file("offset", "99999999999999999999"))
	f("holds 12 bytes, its dimensions say [2]", file())
	f("file does not exist", model(5, beside("w", "location", "../../etc/passwd")))
	f("element type 16, which is not read there", model(5, append(beside("w", "location", "w.bin"), message(2, 16)...)))
	f("holds 3 bytes, its dimensions say [1]", model(5, message(1, 1, 2, Float, 8, "w", 9, []byte{1, 2, 3})))
	f("its dimensions say [4611686018427387904 4]", model(5, message(1, 1<<62, 1, 4, 2, Int8, 8, "w", 9, []byte{1})))
	f("two constants are named", model(5, message(8, "w"), 5, message(8, "w")))
	f("17 dimensions", model(5, append(bytes.Repeat(message(1, 1), 17), message(2, Int8, 9, []byte{1})...)))
	f("sparse", model(15, ""))
	f("functions", append(model(), message(25, "")...))
	f("inside a node, lies in another file", model(1, message(4, "Constant", 5, message(1, "value", 5, beside("w", "location", "w.bin")))))
	deep := message(1, message(1, "x", 4, "Op"))
	for range maxDepth + 2 {
		deep = message(1, message(4, "If", 5, message(6, deep)))
	}
	f("inside each other", message(7, deep))
	f("no operator", model(1, message(1, "x")))
}
