package convert

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"jobstrom/models"
)

// blockWeights is the number of weights that share a scale; a block is an fp16 scale and 16 bytes of 4-bit weights.
const (
	blockWeights = 32
	blockBytes   = 2 + blockWeights/2
)

// e5File is a weights file of the format E5S1: sizes, the vocabulary with its scores, what the
// tokenizer does to single characters, and a directory of tensors. All numbers are little-endian.
type e5File struct {
	hidden, layers, heads, ffn   int
	vocabulary, positions, types int
	epsilon                      float32
	bos, eos, pad, unknown       int

	pieces  []string
	scores  []float32
	deleted []rune // characters the tokenizer removes
	spaces  []rune // characters the tokenizer reads as a space

	raw     []byte
	tensors map[string]e5Tensor
}

// e5Tensor is where a tensor's bytes lie.
type e5Tensor struct {
	quantized bool
	elements  int
	data      []byte
}

// cursor reads numbers from a file and remembers the first read beyond its end.
type cursor struct {
	raw []byte
	pos int
	err error
}

// take returns the next n bytes, or nil once the file is too short.
func (c *cursor) take(n int, what string) []byte {
	if c.err != nil {
		return nil
	}
	if n < 0 || n > len(c.raw)-c.pos {
		c.err = fmt.Errorf("%s needs %d bytes at offset %d, but the file has %d", what, n, c.pos, len(c.raw))
		return nil
	}
	c.pos += n
	return c.raw[c.pos-n : c.pos]
}

func (c *cursor) uint(size int, what string) uint64 {
	b := c.take(size, what)
	if b == nil {
		return 0
	}
	var v uint64
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	return v
}

func (c *cursor) int32(what string) int { return int(int32(c.uint(4, what))) }

func (c *cursor) float32(what string) float32 {
	return math.Float32frombits(uint32(c.uint(4, what)))
}

// readE5 reads a weights file. The result shares the memory of raw.
func readE5(raw []byte) (*e5File, error) {
	c := &cursor{raw: raw}
	if magic := c.take(4, "the magic"); string(magic) != "E5S1" {
		return nil, fmt.Errorf("the file begins with %q, not with the magic \"E5S1\"", magic)
	}
	if version := c.int32("the version"); version != 1 && c.err == nil {
		return nil, fmt.Errorf("the file has version %d, only 1 is known", version)
	}
	f := &e5File{raw: raw}
	for _, field := range []struct {
		to   *int
		name string
	}{
		{&f.hidden, "hidden size"}, {&f.layers, "layer count"}, {&f.heads, "head count"}, {&f.ffn, "feed-forward size"},
		{&f.vocabulary, "vocabulary size"}, {&f.positions, "position count"}, {&f.types, "type count"},
	} {
		*field.to = c.int32(field.name)
		if c.err == nil && (*field.to < 1 || *field.to > 1<<20) {
			return nil, fmt.Errorf("the %s is %d, outside 1 to %d", field.name, *field.to, 1<<20)
		}
	}
	f.epsilon = c.float32("the epsilon")
	block := c.int32("the block size")
	if c.err != nil {
		return nil, c.err
	}
	if block != blockWeights {
		return nil, fmt.Errorf("the block size is %d, only %d is known", block, blockWeights)
	}
	if f.hidden%f.heads != 0 || f.hidden%blockWeights != 0 || f.ffn%blockWeights != 0 {
		return nil, fmt.Errorf("hidden size %d and feed-forward size %d must be multiples of %d, and the hidden size one of the %d heads", f.hidden, f.ffn, blockWeights, f.heads)
	}
	if !(f.epsilon > 0 && f.epsilon < 1) {
		return nil, fmt.Errorf("the epsilon is %g, outside 0 to 1", f.epsilon)
	}
	for _, read := range []func(*cursor) error{f.readPieces, f.readNormalizer, f.readDirectory} {
		if err := read(c); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// readPieces reads the vocabulary of the tokenizer: offsets into one run of bytes, and scores.
func (f *e5File) readPieces(c *cursor) error {
	n := c.int32("the piece count")
	ids := []*int{&f.bos, &f.eos, &f.pad, &f.unknown}
	for _, id := range ids {
		*id = c.int32("a special token")
	}
	size := c.uint(8, "the length of the pieces")
	if c.err != nil {
		return c.err
	}
	if n < 1 || n > f.vocabulary {
		return fmt.Errorf("the piece count is %d, outside 1 to the vocabulary size %d", n, f.vocabulary)
	}
	for _, id := range ids {
		if *id < 0 || *id >= n {
			return fmt.Errorf("a special token has the id %d, outside 0 to %d", *id, n-1)
		}
	}
	offsets := c.take(4*(n+1), "the piece offsets")
	scores := c.take(4*n, "the piece scores")
	blob := c.take(int(min(size, math.MaxInt32)), "the pieces")
	if c.err != nil {
		return c.err
	}
	f.pieces, f.scores = make([]string, n), float32s(scores)
	for i := range n {
		from, to := binary.LittleEndian.Uint32(offsets[4*i:]), binary.LittleEndian.Uint32(offsets[4*i+4:])
		if from > to || int(to) > len(blob) {
			return fmt.Errorf("piece %d lies at %d to %d of %d bytes", i, from, to, len(blob))
		}
		f.pieces[i] = string(blob[from:to])
		if !utf8.ValidString(f.pieces[i]) {
			return fmt.Errorf("piece %d (%q) is not UTF-8", i, f.pieces[i])
		}
		if s := float64(f.scores[i]); math.IsNaN(s) || math.IsInf(s, 0) {
			return fmt.Errorf("piece %d has the score %g", i, s)
		}
	}
	return nil
}

// readNormalizer reads what becomes of single characters. Only removals and spaces are kept: the rest
// of the table is Unicode's NFKC, which the tokenizer has by name.
func (f *e5File) readNormalizer(c *cursor) error {
	n := c.int32("the length of the character table")
	size := c.uint(4, "the size of the character table")
	table := &cursor{raw: c.take(int(size), "the character table")}
	if c.err != nil {
		return c.err
	}
	for range n {
		char := rune(c32(table.uint(4, "a character")))
		count := int(table.uint(1, "a replacement's length"))
		out := table.take(4*count, "a replacement")
		if table.err != nil {
			return fmt.Errorf("reading the character table: %w", table.err)
		}
		if !utf8.ValidRune(char) {
			return fmt.Errorf("the character table has the impossible character %#x", char)
		}
		switch {
		case count == 0:
			f.deleted = append(f.deleted, char)
		case count == 1 && binary.LittleEndian.Uint32(out) == ' ':
			f.spaces = append(f.spaces, char)
		}
	}
	return nil
}

// c32 keeps a number that is no character from wrapping around to one.
func c32(v uint64) int32 { return int32(min(v, math.MaxInt32)) }

// readDirectory reads names, types and places of the tensors.
func (f *e5File) readDirectory(c *cursor) error {
	n := c.int32("the tensor count")
	f.tensors = map[string]e5Tensor{}
	for range n {
		name := string(c.take(int(c.uint(2, "a tensor name's length")), "a tensor name"))
		kind, elements := c.uint(1, "a tensor type"), c.uint(4, "a tensor's element count")
		offset, size := c.uint(8, "a tensor's offset"), c.uint(8, "a tensor's size")
		if c.err != nil {
			return c.err
		}
		if kind > 1 {
			return fmt.Errorf("tensor %q has type %d; 0 (fp32) and 1 (4-bit blocks) are known", name, kind)
		}
		total := uint64(len(f.raw))
		if offset > total || size > total-offset {
			return fmt.Errorf("tensor %q lies at %d with %d bytes, but the file has %d: it was cut short", name, offset, size, total)
		}
		f.tensors[name] = e5Tensor{quantized: kind == 1, elements: int(elements), data: f.raw[offset : offset+size]}
	}
	return nil
}

// floats returns an fp32 tensor of n numbers.
func (f *e5File) floats(name string, n int) ([]float32, error) {
	t, ok := f.tensors[name]
	if !ok {
		return nil, fmt.Errorf("tensor %q is missing", name)
	}
	if t.quantized || t.elements != n || len(t.data) != 4*n {
		return nil, fmt.Errorf("tensor %q has %d elements in %d bytes (4-bit blocks: %t), expected %d fp32 numbers", name, t.elements, len(t.data), t.quantized, n)
	}
	return float32s(t.data), nil
}

// blocks is a matrix in 4-bit blocks, row by row: weight = (q − 8) · scale. A block's bytes hold the
// weights 0 and 16, 1 and 17, and so on, the first of each pair in the low half.
type blocks struct {
	rows, columns int
	data          []byte
}

// blocks returns a matrix of 4-bit blocks.
func (f *e5File) blocks(name string, rows, columns int) (blocks, error) {
	t, ok := f.tensors[name]
	if !ok {
		return blocks{}, fmt.Errorf("tensor %q is missing", name)
	}
	n := rows * columns
	if !t.quantized || t.elements != n || len(t.data) != n/blockWeights*blockBytes {
		return blocks{}, fmt.Errorf("tensor %q has %d elements in %d bytes (4-bit blocks: %t), expected %d × %d in 4-bit blocks", name, t.elements, len(t.data), t.quantized, rows, columns)
	}
	return blocks{rows: rows, columns: columns, data: t.data}, nil
}

// scales returns the scale of each block.
func (m blocks) scales() []float32 {
	v := make([]float32, len(m.data)/blockBytes)
	for b := range v {
		v[b] = models.Float16(binary.LittleEndian.Uint16(m.data[b*blockBytes:]))
	}
	return v
}

// weights returns the weights q, 0 to 15, one a byte.
func (m blocks) weights() []byte {
	v := make([]byte, 0, m.rows*m.columns)
	for block := range slices.Chunk(m.data, blockBytes) {
		for _, x := range block[2:] {
			v = append(v, x&15)
		}
		for _, x := range block[2:] {
			v = append(v, x>>4)
		}
	}
	return v
}

// packed returns the weights q two a byte, the even one in the low half.
func (m blocks) packed() []byte {
	v := make([]byte, 0, m.rows*m.columns/2)
	for block := range slices.Chunk(m.data, blockBytes) {
		for i := 2; i < blockBytes; i += 2 {
			v = append(v, block[i]&15|block[i+1]<<4)
		}
		for i := 2; i < blockBytes; i += 2 {
			v = append(v, block[i]>>4|block[i+1]&0xf0)
		}
	}
	return v
}

// floats returns the matrix as fp32 numbers.
func (m blocks) floats() []float32 {
	q, scales := m.weights(), m.scales()
	v := make([]float32, len(q))
	for i, x := range q {
		v[i] = float32(int(x)-8) * scales[i/blockWeights]
	}
	return v
}

func float32s(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}
