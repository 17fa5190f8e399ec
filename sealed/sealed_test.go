package sealed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
)

type person struct {
	Name string `json:"name"`
}

func file(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, name := range names {
		if err := w.Write(person{name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(text []byte) (names []string, err error) {
	err = Read(bytes.NewReader(text), func(line []byte) error {
		var p person
		if err := json.Unmarshal(line, &p); err != nil {
			return fmt.Errorf("no person: %w", ErrDamaged)
		}
		names = append(names, p.Name)
		return nil
	})
	return names, err
}

// What was written is read; whatever byte is missing or another, the file is refused.
func TestSealed(t *testing.T) {
	for _, want := range [][]string{nil, {"Ane"}, {"Ane", "Bo\n{\"sealed\":2}", "Søren"}} {
		whole := file(t, want...)
		if got, err := read(whole); err != nil || !slices.Equal(got, want) {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
		for i := range whole {
			if _, err := read(whole[:i]); !errors.Is(err, ErrDamaged) {
				t.Errorf("the first %d of %d bytes: %v", i, len(whole), err)
			}
			changed := slices.Clone(whole)
			changed[i] ^= 1
			if got, err := read(changed); err == nil && !slices.Equal(got, want) {
				t.Errorf("byte %d changed: read %q", i, got)
			}
		}
		if _, err := read(append(slices.Clone(whole), whole...)); !errors.Is(err, ErrDamaged) {
			t.Errorf("the file twice: %v", err)
		}
	}
	// A line less and a seal that fits the number of the rest.
	two, one := file(t, "Ane", "Bo"), file(t, "Cai")
	if _, err := read(append(bytes.SplitAfter(two, []byte("\n"))[0], bytes.SplitAfter(one, []byte("\n"))[1]...)); !errors.Is(err, ErrDamaged) {
		t.Errorf("the seal of other lines: %v", err)
	}
}
