// Package schematest compares releases of the messages in tests: it fills messages, says whether one release reads what another wrote, and whether descriptors are compatible.
//
// It works on descriptors alone and promises that what it fills is the same every time, and that no field is left out.
package schematest

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Timestamp is the one message of another package that ours hold.
const timestamp = "google.protobuf.Timestamp"

// Fill sets every field of a message, and of those in it: lists and maps to two values. Values differ from field to field, by number.
func Fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsList():
			list := m.Mutable(f).List()
			for n := range 2 {
				list.Append(value(f, list.NewElement, n))
			}
		case f.IsMap():
			entries := m.Mutable(f).Map()
			for n := range 2 {
				entries.Set(value(f.MapKey(), nil, n).MapKey(), value(f.MapValue(), entries.NewValue, n))
			}
		default:
			m.Set(f, value(f, func() protoreflect.Value { return m.NewField(f) }, 0))
		}
	}
}

// value returns the n-th value of a field, and of no other one.
func value(f protoreflect.FieldDescriptor, empty func() protoreflect.Value, n int) protoreflect.Value {
	number := int(f.Number())*10 + n + 1
	switch f.Kind() {
	case protoreflect.MessageKind:
		v := empty()
		if f.Message().FullName() == timestamp {
			fields := f.Message().Fields()
			v.Message().Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(1_760_000_000+int64(number)))
			v.Message().Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(5e6))
		} else {
			Fill(v.Message())
		}
		return v
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s %d æøå", f.Name(), number))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0xff, byte(number), 0})
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(-int32(number))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(-int64(number) << 32)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(number))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(number) << 32)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(number) / 7)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(number) / 7)
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(values.Len() - 1).Number())
	}
	panic("BUG: nothing fills a field of kind " + f.Kind().String())
}

// SameMeaning compares what two releases read of one record: every field that a knows must have the same value in b, found by number and name. What b knows besides
// does not count. It returns the differences.
func SameMeaning(a, b protoreflect.Message) []string { return differences("", a, b) }

func differences(path string, a, b protoreflect.Message) (found []string) {
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		at := strings.TrimPrefix(path+"."+string(f.Name()), ".")
		g := b.Descriptor().Fields().ByNumber(f.Number())
		switch {
		case g == nil:
			if a.Has(f) {
				found = append(found, at+" is not known")
			}
			continue
		case g.Name() != f.Name() || g.Kind() != f.Kind() || g.Cardinality() != f.Cardinality() || g.IsMap() != f.IsMap():
			found = append(found, fmt.Sprintf("%s is %s, %s %s", at, g.Name(), g.Cardinality(), g.Kind()))
			continue
		case a.Has(f) != b.Has(g):
			found = append(found, fmt.Sprintf("%s is there: %v and %v", at, a.Has(f), b.Has(g)))
			continue
		case !a.Has(f):
			continue
		}
		x, y := a.Get(f), b.Get(g)
		switch {
		case f.IsList():
			if x.List().Len() != y.List().Len() {
				found = append(found, fmt.Sprintf("%s has %d and %d values", at, x.List().Len(), y.List().Len()))
				continue
			}
			for n := range x.List().Len() {
				found = append(found, different(fmt.Sprintf("%s[%d]", at, n), f, x.List().Get(n), y.List().Get(n))...)
			}
		case f.IsMap():
			if x.Map().Len() != y.Map().Len() {
				found = append(found, fmt.Sprintf("%s has %d and %d entries", at, x.Map().Len(), y.Map().Len()))
				continue
			}
			x.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				if !y.Map().Has(k) {
					found = append(found, fmt.Sprintf("%s lacks %v", at, k))
				} else {
					found = append(found, different(fmt.Sprintf("%s[%v]", at, k), f.MapValue(), v, y.Map().Get(k))...)
				}
				return true
			})
		default:
			found = append(found, different(at, f, x, y)...)
		}
	}
	slices.Sort(found)
	return found
}

// different compares two values of a field's kind.
func different(at string, f protoreflect.FieldDescriptor, x, y protoreflect.Value) []string {
	if f.Message() != nil {
		return differences(at, x.Message(), y.Message())
	}
	if !x.Equal(y) {
		return []string{fmt.Sprintf("%s is %v and %v", at, x, y)}
	}
	return nil
}

// Unset lists the fields that a message, or one in it, leaves out.
func Unset(m protoreflect.Message) (names []string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case !m.Has(f):
			names = append(names, string(f.FullName()))
		case f.IsList() && f.Message() != nil:
			names = append(names, Unset(m.Get(f).List().Get(0).Message())...)
		case !f.IsList() && !f.IsMap() && f.Message() != nil && f.Message().FullName() != timestamp:
			names = append(names, Unset(m.Get(f).Message())...)
		}
	}
	return names
}
