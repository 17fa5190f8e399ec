package convert

import (
	"fmt"
	"slices"
	"strings"

	"jobstrom/schemas"
)

// Everything of Python's that a pickle may name. Storages name an element type, the other three build what the types above hold.
const (
	orderedDict      = "collections.OrderedDict"
	rebuildTensor    = "torch._utils._rebuild_tensor_v2"
	rebuildParameter = "torch._utils._rebuild_parameter"
)

// storageWidths holds the bytes of an element.
var storageWidths = map[string]int64{
	"torch.DoubleStorage": 8, "torch.FloatStorage": 4, "torch.HalfStorage": 2, "torch.BFloat16Storage": 2,
	// Of these a checkpoint's counters are; they are read past.
	"torch.LongStorage": 8, "torch.IntStorage": 4, "torch.ShortStorage": 2, "torch.CharStorage": 1, "torch.ByteStorage": 1, "torch.BoolStorage": 1,
}

func (g pickledGlobal) String() string { return g.module + "." + g.name }

func (g pickledGlobal) check() error {
	full := g.String()
	if _, storage := storageWidths[full]; storage || slices.Contains([]string{orderedDict, rebuildTensor, rebuildParameter}, full) {
		return nil
	}
	remedy := "only tensors are read, nothing is run"
	if strings.HasPrefix(full, "torch.nn.") || g.module == "__main__" || strings.HasPrefix(g.module, "__torch__") {
		remedy = "it seems to be a whole model: save its numbers alone, with torch.save(model.state_dict(), FILE)"
	}
	return fmt.Errorf("%w pickle: it names %.100q, which could run code: %s", schemas.ErrMalformed, full, remedy)
}

// global reads the name of something of Python's and refuses all but a few.
func (u *unpickler) global(op byte) error {
	var g pickledGlobal
	if op == 'c' {
		for _, part := range []*string{&g.module, &g.name} {
			line, _, ended := strings.Cut(string(u.data[u.at:min(len(u.data), u.at+1000)]), "\n")
			if !ended {
				return u.wrong("a name does not end")
			}
			u.at, *part = u.at+len(line)+1, line
		}
	} else {
		t, err := u.popTuple(2)
		if err != nil {
			return err
		}
		var texts [2]bool
		g.module, texts[0] = t[0].(string)
		g.name, texts[1] = t[1].(string)
		if !texts[0] || !texts[1] {
			return u.wrong("a name is no text")
		}
	}
	u.push(g)
	return g.check()
}

// container makes and fills dicts, lists and tuples.
func (u *unpickler) container(op byte) error {
	var t []any
	var err error
	switch op {
	case '}':
		u.push(&pickledDict{})
		return nil
	case ']':
		u.push(&pickledList{})
		return nil
	case ')':
		u.push([]any{})
		return nil
	case 't', 'e', 'u':
		t, err = u.popMark()
	case 0x85, 0x86, 0x87:
		t, err = u.popTuple(int(op) - 0x84)
	case 'a':
		t, err = u.popTuple(1)
	case 's':
		t, err = u.popTuple(2)
	}
	if err != nil {
		return err
	}
	if op == 't' || op >= 0x85 {
		u.push(t)
		return nil
	}
	into, err := u.top()
	if err != nil {
		return err
	}
	switch into := into.(type) {
	case *pickledList:
		if op == 'a' || op == 'e' {
			into.items = append(into.items, t...)
			return nil
		}
	case *pickledDict:
		if (op == 's' || op == 'u') && len(t)%2 == 0 {
			for i := 0; i < len(t); i += 2 {
				key, _ := t[i].(string)
				into.keys, into.values = append(into.keys, key), append(into.values, t[i+1])
			}
			return nil
		}
	}
	return u.wrong("values are put into what cannot hold them")
}

// build makes storages, tensors and dicts.
func (u *unpickler) build(op byte) error {
	if op == 'Q' {
		id, err := u.pop()
		if err != nil {
			return err
		}
		s, err := u.storage(id)
		u.push(s)
		return err
	}
	argument, err := u.pop()
	if err != nil {
		return err
	}
	if op == 'b' { // a state_dict's _metadata, which says nothing of numbers
		if into, err := u.top(); err != nil {
			return err
		} else if _, dict := into.(*pickledDict); !dict {
			return u.wrong("attributes are given to what is no dict")
		}
		return nil
	}
	callable, err := u.pop()
	if err != nil {
		return err
	}
	g, named := callable.(pickledGlobal)
	args, tuple := argument.([]any)
	if !named || !tuple {
		return u.wrong("it calls what has no name, or without a tuple of arguments")
	}
	made, err := u.call(g.String(), args)
	u.push(made)
	return err
}

// call does what the three functions that a pickle may name would do.
func (u *unpickler) call(name string, args []any) (any, error) {
	switch {
	case name == orderedDict && len(args) == 0:
		return &pickledDict{}, nil
	case name == rebuildParameter && len(args) == 3:
		if t, ok := args[0].(*pickledTensor); ok {
			return t, nil
		}
	case name == rebuildTensor && (len(args) == 6 || len(args) == 7):
		t := &pickledTensor{}
		var ok [4]bool
		t.storage, ok[0] = args[0].(*pickledStorage)
		t.offset, ok[1] = args[1].(int64)
		t.sizes, ok[2] = integers(args[2])
		t.stride, ok[3] = integers(args[3])
		if ok == [4]bool{true, true, true, true} {
			return t, nil
		}
	}
	return nil, u.wrong("it calls %s with other arguments than torch does", name)
}

// storage reads a persistent id: ("storage", type, key, device, number of elements).
func (u *unpickler) storage(id any) (*pickledStorage, error) {
	if t, ok := id.([]any); ok && len(t) == 5 && t[0] == any("storage") {
		kind, isGlobal := t[1].(pickledGlobal)
		key, isText := t[2].(string)
		numel, isNumber := t[4].(int64)
		if isGlobal && isText && isNumber && storageWidths[kind.String()] > 0 {
			return &pickledStorage{kind: kind.String(), key: key, numel: numel}, nil
		}
	}
	return nil, u.wrong("it refers to something outside that is no storage of torch's")
}

func integers(v any) ([]int64, bool) {
	t, ok := v.([]any)
	numbers := make([]int64, len(t))
	for i := range numbers {
		var whole bool
		numbers[i], whole = t[i].(int64)
		ok = ok && whole
	}
	return numbers, ok
}
