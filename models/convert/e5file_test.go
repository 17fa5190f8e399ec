package convert

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"jobstrom/models"
)

// smallTensor is a tensor of a small weights file: fp32 numbers, or 4-bit blocks for a matrix.
type smallTensor struct {
	name     string
	elements int
	matrix   bool
}

// smallE5 writes a whole weights file of one layer: hidden size 32, 2 heads, 8 pieces, 16 positions.
func smallE5() []byte {
	const hidden, ffn, vocabulary, positions = 32, 64, 8, 16
	le := binary.LittleEndian
	var b []byte
	u32 := func(v ...uint32) {
		for _, x := range v {
			b = le.AppendUint32(b, x)
		}
	}
	b = append(b, "E5S1"...)
	u32(1, hidden, 1, 2, ffn, vocabulary, positions, 1)
	u32(math.Float32bits(1e-12), blockWeights)

	pieces := []string{"<s>", "<pad>", "</s>", "<unk>", "▁", "kok", "▁kok", "<mask>"}
	u32(uint32(len(pieces)), 0, 2, 1, 3)
	b = le.AppendUint64(b, uint64(len(strings.Join(pieces, ""))))
	offset := 0
	for _, p := range pieces {
		u32(uint32(offset))
		offset += len(p)
	}
	u32(uint32(offset))
	for i := range pieces {
		u32(math.Float32bits(-float32(i) / 3))
	}
	b = append(b, strings.Join(pieces, "")...)

	var table []byte
	for _, c := range []struct {
		char rune
		out  string
	}{{1, ""}, {2, ""}, {8, ""}, {'\t', " "}, {'ﬁ', "fi"}} {
		table = append(le.AppendUint32(table, uint32(c.char)), byte(len(c.out)))
		for _, o := range c.out {
			table = le.AppendUint32(table, uint32(o))
		}
	}
	u32(5, uint32(len(table)))
	b = append(b, table...)

	tensors := []smallTensor{
		{"emb.word", vocabulary * hidden, true}, {"emb.pos", positions * hidden, false}, {"emb.type", hidden, false},
		{"emb.ln.w", hidden, false}, {"emb.ln.b", hidden, false},
		{"l0.aln.w", hidden, false}, {"l0.aln.b", hidden, false}, {"l0.oln.w", hidden, false}, {"l0.oln.b", hidden, false},
	}
	for _, m := range []struct {
		name    string
		out, in int
	}{{"q", hidden, hidden}, {"k", hidden, hidden}, {"v", hidden, hidden}, {"ao", hidden, hidden}, {"fi", ffn, hidden}, {"fo", hidden, ffn}} {
		tensors = append(tensors, smallTensor{"l0." + m.name + ".w", m.out * m.in, true}, smallTensor{"l0." + m.name + ".b", m.out, false})
	}
	size := func(t smallTensor) int {
		if t.matrix {
			return t.elements / blockWeights * blockBytes
		}
		return 4 * t.elements
	}
	at := len(b) + 4
	for _, t := range tensors {
		at += 2 + len(t.name) + 1 + 4 + 8 + 8
	}
	u32(uint32(len(tensors)))
	for _, t := range tensors {
		b = append(le.AppendUint16(b, uint16(len(t.name))), t.name...)
		kind := byte(0)
		if t.matrix {
			kind = 1
		}
		b = le.AppendUint32(append(b, kind), uint32(t.elements))
		b = le.AppendUint64(b, uint64(at))
		b = le.AppendUint64(b, uint64(size(t)))
		at += size(t)
	}
	for _, t := range tensors {
		// What a tensor holds follows from its name.
		seed := uint32(len(t.name))
		for _, c := range t.name {
			seed = seed*31 + uint32(c)
		}
		next := func() uint32 { seed = seed*1664525 + 1013904223; return seed >> 16 }
		for i := range size(t) {
			switch {
			case t.matrix && i%blockBytes == 0:
				b = append(b, byte(next()))
			case t.matrix && i%blockBytes == 1:
				b = append(b, 0x28) // The high byte of a scale near 1/32.
			case t.matrix:
				b = append(b, byte(next()))
			case i%4 == 0:
				b = le.AppendUint32(b, math.Float32bits(float32(next()%2000)/1000-1))
			}
		}
	}
	return b
}

func TestReadE5(t *testing.T) {
	f, err := readE5(smallE5())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(f.hidden, f.layers, f.heads, f.ffn, f.vocabulary, f.positions, f.types, f.bos, f.eos, f.pad, f.unknown); got != "32 1 2 64 8 16 1 0 2 1 3" {
		t.Errorf("sizes and special tokens are %s", got)
	}
	if got := fmt.Sprintf("%q %q %q", f.pieces, f.deleted, f.spaces); got != `["<s>" "<pad>" "</s>" "<unk>" "▁" "kok" "▁kok" "<mask>"] ['\x01' '\x02' '\b'] ['\t']` {
		t.Errorf("vocabulary and characters are %s", got)
	}
	m, err := f.blocks("l0.fi.w", 64, 32)
	if err != nil {
		t.Fatal(err)
	}
	raw := f.tensors["l0.fi.w"].data
	w := m.floats()
	for i, x := range m.packed() {
		if q := m.weights()[2*i : 2*i+2]; x != q[0]|q[1]<<4 {
			t.Fatalf("byte %d is %#x, want the weights %d", i, x, q)
		}
	}
	// The 16 bytes of a block hold its weights 0 and 16, 1 and 17, and so on.
	if got, want := w[32+1], float32(int(raw[blockBytes+3]&15)-8)*m.scales()[1]; got != want {
		t.Errorf("weight 1 of row 1 is %g, want %g", got, want)
	}
	if got, want := w[32+17], float32(int(raw[blockBytes+3]>>4)-8)*m.scales()[1]; got != want {
		t.Errorf("weight 17 of row 1 is %g, want %g", got, want)
	}
}

func TestFloat16(t *testing.T) {
	f := func(bits uint16, want float64) {
		t.Helper()
		if got := float64(models.Float16(bits)); got != want {
			t.Errorf("Float16(%#04x) = %g, want %g", bits, got, want)
		}
	}
	f(0x0000, 0)
	f(0x3c00, 1)
	f(0xc000, -2)
	f(0x3555, 0.333251953125)
	f(0x7bff, 65504)
	f(0x0001, math.Ldexp(1, -24))
	f(0x83ff, -math.Ldexp(1023, -24))
	f(0x7c00, math.Inf(1))
}

func TestReadE5Failure(t *testing.T) {
	whole := smallE5()
	f := func(want string, change func(b []byte) []byte) {
		t.Helper()
		f, err := readE5(change(bytes.Clone(whole)))
		if err == nil {
			_, err = newGraph(f, Int8).build()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	put := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[at:], v); return b }
	}
	rename := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
	}
	f("not with the magic", cut(0))
	f("not with the magic", put(0, 7))
	f("the version needs 4 bytes at offset 4", cut(4))
	f("version 2, only 1 is known", put(4, 2))
	f("the hidden size is 0", put(8, 0))
	f("the layer count is -1", put(12, math.MaxUint32))
	f("one of the 3 heads", put(16, 3))
	f("hidden size 33", put(8, 33))
	f("the epsilon is NaN", put(36, math.Float32bits(float32(math.NaN()))))
	f("the block size is 64", put(40, 64))
	f("the piece count is 9", put(44, 9))
	f("a special token has the id 8", put(48, 8))
	f("the pieces needs", put(64, math.MaxUint32))
	f("piece 0 lies at 40 to", put(72, 40))
	f("is not UTF-8", rename("▁kok", "\xff\xff\xffkok"))
	f("the file has", cut(200))
	f("was cut short", cut(len(whole)-1))
	f(`tensor "l0.q.w" is missing`, rename("l0.q.w", "l9.q.w"))
	f(`tensor "emb.type" is missing`, rename("emb.type", "emb.tapt"))
	f(`expected 32 fp32 numbers`, rename("l0.aln.b\x00\x20", "l0.aln.b\x00\x21"))
	f(`expected 8 × 32 in 4-bit blocks`, rename("emb.word\x01", "emb.word\x00"))
	f("type 2", rename("emb.word\x01", "emb.word\x02"))
	f(`"l1.q.w" is missing`, put(12, 1<<20))
}

// A file from anywhere gives a graph or an error.
func FuzzReadE5(f *testing.F) {
	f.Add(smallE5())
	f.Add([]byte("E5S1"))
	f.Add(smallE5()[:300])
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := readE5(raw)
		if err != nil {
			return
		}
		var out bytes.Buffer
		for _, kind := range Kinds() {
			g, err := newGraph(file, kind).build()
			if err != nil {
				continue
			}
			if err := g.Encode(&out); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeTokenizer(&out, file); err != nil {
			t.Fatal(err)
		}
	})
}
