package schematest

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Breaking lists what of a newer descriptor an older release could not read, or would read wrongly, and the other way around: a message or field that is gone without its number and name
// being reserved, a number that is used for something else, a type, a cardinality or a name (JSON goes by it) that has changed, an enum's value that is gone or means something else. What is
// only there in the newer one breaks nothing.
func Breaking(older, newer protoreflect.FileDescriptor) (found []string) {
	if older.Package() != newer.Package() {
		return []string{fmt.Sprintf("the package is %s, was %s", newer.Package(), older.Package())}
	}
	found = append(breakingMessages(older.Messages(), newer.Messages()), breakingEnums(older.Enums(), newer.Enums())...)
	slices.Sort(found)
	return found
}

func breakingMessages(older, newer protoreflect.MessageDescriptors) (found []string) {
	for i := range older.Len() {
		before := older.Get(i)
		now := newer.ByName(before.Name())
		if now == nil {
			found = append(found, fmt.Sprintf("message %s is gone", before.FullName()))
			continue
		}
		found = append(found, breakingFields(before, now)...)
		found = append(found, breakingMessages(before.Messages(), now.Messages())...)
		found = append(found, breakingEnums(before.Enums(), now.Enums())...)
		// What was given up once stays so.
		for k := range before.ReservedRanges().Len() {
			for n := before.ReservedRanges().Get(k)[0]; n < before.ReservedRanges().Get(k)[1]; n++ {
				if now.Fields().ByNumber(n) != nil || !now.ReservedRanges().Has(n) {
					found = append(found, fmt.Sprintf("%s: number %d is reserved no more", before.FullName(), n))
				}
			}
		}
	}
	return found
}

func breakingFields(before, now protoreflect.MessageDescriptor) (found []string) {
	for i := range before.Fields().Len() {
		f := before.Fields().Get(i)
		g := now.Fields().ByNumber(f.Number())
		say := func(format string, args ...any) {
			found = append(found, fmt.Sprintf("%s (%d) ", f.FullName(), f.Number())+fmt.Sprintf(format, args...))
		}
		if g == nil {
			if !now.ReservedRanges().Has(f.Number()) {
				say("is gone, and its number is not reserved")
			} else if !now.ReservedNames().Has(f.Name()) && now.Fields().ByName(f.Name()) == nil {
				say("is gone, and its name is not reserved")
			}
			if other := now.Fields().ByName(f.Name()); other != nil {
				say("has the number %d now", other.Number())
			}
			continue
		}
		if g.Name() != f.Name() {
			say("is called %s now: JSON goes by the name", g.Name())
		}
		if g.JSONName() != f.JSONName() {
			say("has the JSON name %s, had %s", g.JSONName(), f.JSONName())
		}
		if kindOf(g) != kindOf(f) {
			say("is %s, was %s", kindOf(g), kindOf(f))
		}
		if g.Cardinality() != f.Cardinality() || g.HasPresence() != f.HasPresence() {
			say("is %s with presence %v, was %s with presence %v", g.Cardinality(), g.HasPresence(), f.Cardinality(), f.HasPresence())
		}
		if oneof(g) != oneof(f) {
			say("is in the oneof %q, was in %q", oneof(g), oneof(f))
		}
		if f.IsMap() && g.IsMap() && (kindOf(g.MapKey()) != kindOf(f.MapKey()) || kindOf(g.MapValue()) != kindOf(f.MapValue())) {
			say("maps %s to %s, mapped %s to %s", kindOf(g.MapKey()), kindOf(g.MapValue()), kindOf(f.MapKey()), kindOf(f.MapValue()))
		}
	}
	return found
}

// kindOf names a field's type: of a message or an enum its own name.
func kindOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "map"
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}

func oneof(f protoreflect.FieldDescriptor) protoreflect.Name {
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		return o.Name()
	}
	return ""
}

func breakingEnums(older, newer protoreflect.EnumDescriptors) (found []string) {
	for i := range older.Len() {
		before := older.Get(i)
		now := newer.ByName(before.Name())
		if now == nil {
			found = append(found, fmt.Sprintf("enum %s is gone", before.FullName()))
			continue
		}
		for k := range before.Values().Len() {
			v := before.Values().Get(k)
			w := now.Values().ByNumber(v.Number())
			switch {
			case w == nil && !now.ReservedRanges().Has(v.Number()):
				found = append(found, fmt.Sprintf("%s (%d) is gone, and its number is not reserved", v.FullName(), v.Number()))
			case w != nil && w.Name() != v.Name():
				found = append(found, fmt.Sprintf("%s (%d) is called %s now", v.FullName(), v.Number(), w.Name()))
			}
		}
	}
	return found
}
