package convert

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"

	"jobstrom/schemas"
)

// Bounds of a pickle. A state_dict's has some hundred bytes, a checkpoint's some thousand.
const (
	maxPickle = 1 << 24 // bytes
	maxLong   = 64      // bytes of one integer
)

// What a pickle is made of, beside nil, bool, int64, float64, string, []byte and tuples, which are []any. Nothing in it walks into what
// it holds, so that neither depth nor a value that holds itself does harm.
type (
	pickledList struct{ items []any }
	// pickledDict has its keys in order; one that is no text is kept as "", nobody asks for it.
	pickledDict struct {
		keys   []string
		values []any
	}
	// pickledGlobal is something of Python's, by name. It is only ever compared.
	pickledGlobal struct{ module, name string }
	// pickledStorage is a run of numbers in a file of its own.
	pickledStorage struct {
		kind, key string
		numel     int64
	}
	// pickledTensor is a view of a storage.
	pickledTensor struct {
		storage       *pickledStorage
		offset        int64
		sizes, stride []int64
	}
	pickledMark struct{}
)

// get returns the value of a key; the last one where there are several.
func (d *pickledDict) get(key string) any {
	for i := len(d.keys) - 1; i >= 0; i-- {
		if d.keys[i] == key {
			return d.values[i]
		}
	}
	return nil
}

// unpickler knows as much of Python's pickle as torch.save writes for tensors in dicts, lists and tuples. It runs nothing.
type unpickler struct {
	data  []byte
	at    int
	stack []any
	memo  map[uint64]any
}

// unpickle reads a pickle of protocols 2 to 5. Every error wraps schemas.ErrMalformed.
func unpickle(data []byte) (any, error) {
	if len(data) > maxPickle {
		return nil, fmt.Errorf("%w pickle: %d bytes, at most %d are read", schemas.ErrMalformed, len(data), maxPickle)
	}
	u := &unpickler{data: data, memo: map[uint64]any{}}
	for {
		start := u.at
		op, err := u.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == '.' {
			if len(u.stack) != 1 {
				return nil, u.wrong("%d values are left at the end, must be 1", len(u.stack))
			}
			return u.pop()
		}
		if err := u.step(op[0], start); err != nil {
			return nil, err
		}
	}
}

func (u *unpickler) wrong(format string, args ...any) error {
	return fmt.Errorf("%w pickle: before byte %d: %s", schemas.ErrMalformed, u.at, fmt.Sprintf(format, args...))
}

// take returns the next n bytes.
func (u *unpickler) take(n uint64) ([]byte, error) {
	if n > uint64(len(u.data)-u.at) {
		return nil, u.wrong("%d bytes more were announced, %d are left: the file is damaged or cut off", n, len(u.data)-u.at)
	}
	b := u.data[u.at : u.at+int(n)]
	u.at += int(n)
	return b, nil
}

// number returns the next little-endian number of this width.
func (u *unpickler) number(width uint64) (uint64, error) {
	b, err := u.take(width)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// sized returns the bytes whose length stands before them in this width.
func (u *unpickler) sized(width uint64) ([]byte, error) {
	n, err := u.number(width)
	if err != nil {
		return nil, err
	}
	return u.take(n)
}

func (u *unpickler) push(v any) { u.stack = append(u.stack, v) }

func (u *unpickler) pop() (any, error) {
	if len(u.stack) == 0 {
		return nil, u.wrong("a value is used that is not there")
	}
	v := u.stack[len(u.stack)-1]
	if _, mark := v.(pickledMark); mark {
		return nil, u.wrong("a mark stands where a value must be")
	}
	u.stack = u.stack[:len(u.stack)-1]
	return v, nil
}

// top returns the last value and leaves it.
func (u *unpickler) top() (any, error) {
	v, err := u.pop()
	if err == nil {
		u.push(v)
	}
	return v, err
}

// popTuple takes n values.
func (u *unpickler) popTuple(n int) ([]any, error) {
	if n > len(u.stack) {
		return nil, u.wrong("%d values are used, %d are there", n, len(u.stack))
	}
	t := slices.Clone(u.stack[len(u.stack)-n:])
	u.stack = u.stack[:len(u.stack)-n]
	if slices.Contains(t, any(pickledMark{})) {
		return nil, u.wrong("a mark stands where a value must be")
	}
	return t, nil
}

// popMark takes the values down to the last mark, and the mark.
func (u *unpickler) popMark() ([]any, error) {
	for i := len(u.stack) - 1; i >= 0; i-- {
		if _, mark := u.stack[i].(pickledMark); mark {
			t, err := u.popTuple(len(u.stack) - 1 - i)
			u.stack = u.stack[:i]
			return t, err
		}
	}
	return nil, u.wrong("a mark is used that is not there")
}

// refused are the operations that build objects of any class, or that torch does not write.
var refused = map[byte]string{
	'i': "INST", 'o': "OBJ", 0x81: "NEWOBJ", 0x92: "NEWOBJ_EX", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 'P': "PERSID", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}

// step does one operation.
func (u *unpickler) step(op byte, start int) error {
	switch op {
	case 0x80: // PROTO
		version, err := u.number(1)
		if err != nil {
			return err
		}
		if version < 2 || version > 5 {
			return u.wrong("it is of protocol %d, must be 2 to 5", version)
		}
		return nil
	case 0x95: // FRAME, which only says how much can be read at once
		_, err := u.number(8)
		return err
	case '(':
		u.push(pickledMark{})
		return nil
	case '0':
		_, err := u.pop()
		return err
	case 'q', 'r', 0x94, 'h', 'j':
		return u.remember(op)
	case 'c', 0x93:
		return u.global(op)
	case 'Q', 'R', 'b':
		return u.build(op)
	case '}', ']', ')', 't', 0x85, 0x86, 0x87, 'a', 'e', 's', 'u':
		return u.container(op)
	}
	if v, known, err := u.scalar(op); known || err != nil {
		u.push(v)
		return err
	}
	name := refused[op]
	if name == "" {
		name = "one that torch does not write for tensors"
	}
	return fmt.Errorf("%w pickle: byte %d is operation %#x (%s): only a state_dict is read", schemas.ErrMalformed, start, op, name)
}

// scalar reads a value that holds no others.
func (u *unpickler) scalar(op byte) (v any, known bool, err error) {
	var n uint64
	var b []byte
	switch op {
	case 'N':
		return nil, true, nil
	case 0x88, 0x89:
		return op == 0x88, true, nil
	case 'K':
		n, err = u.number(1)
		return int64(n), true, err
	case 'M':
		n, err = u.number(2)
		return int64(n), true, err
	case 'J':
		n, err = u.number(4)
		return int64(int32(n)), true, err
	case 0x8a: // LONG1
		b, err = u.sized(1)
		if err != nil {
			return nil, true, err
		}
		if len(b) > maxLong {
			return nil, true, u.wrong("an integer has %d bytes", len(b))
		}
		return long(b), true, nil
	case 'G':
		b, err = u.take(8)
		if err != nil {
			return nil, true, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), true, nil
	case 'X', 0x8c, 0x8d:
		b, err = u.sized(map[byte]uint64{'X': 4, 0x8c: 1, 0x8d: 8}[op])
		if err == nil && !utf8.Valid(b) {
			err = u.wrong("a text is not UTF-8")
		}
		return string(b), true, err
	case 'B', 'C', 0x8e:
		b, err = u.sized(map[byte]uint64{'B': 4, 'C': 1, 0x8e: 8}[op])
		return b, true, err
	}
	return nil, false, nil
}

// long reads a little-endian integer in two's complement; one beyond 64 bits becomes a float64, nobody counts with it.
func long(b []byte) any {
	reversed := slices.Clone(b)
	slices.Reverse(reversed)
	n := new(big.Int).SetBytes(reversed)
	if len(b) > 0 && b[len(b)-1] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	if n.IsInt64() {
		return n.Int64()
	}
	f, _ := new(big.Float).SetInt(n).Float64()
	return f
}

// remember writes and reads the memo.
func (u *unpickler) remember(op byte) error {
	key, err := uint64(len(u.memo)), error(nil)
	if op != 0x94 {
		key, err = u.number(map[byte]uint64{'q': 1, 'h': 1, 'r': 4, 'j': 4}[op])
	}
	if err != nil {
		return err
	}
	if op == 'h' || op == 'j' {
		v, there := u.memo[key]
		if !there {
			return u.wrong("it asks for value %d, which it has not kept", key)
		}
		u.push(v)
		return nil
	}
	v, err := u.top()
	u.memo[key] = v
	return err
}
