package schematest

import (
	"context"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// file compiles the body of a file with messages of package p.
func file(t *testing.T, body string) protoreflect.FileDescriptor {
	t.Helper()
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"p.proto": "syntax = \"proto3\";\npackage p;\nimport \"google/protobuf/timestamp.proto\";\n" + body}),
	})}
	files, err := compiler.Compile(context.Background(), "p.proto")
	if err != nil {
		t.Fatalf("compiling %s: %v", body, err)
	}
	return files[0]
}

const released = `enum E { NONE = 0; ONE = 1; }
message B { string b = 1; }
message Unused {}
enum Idle { ZERO = 0; }
message A {
  reserved 9; reserved "old";
  string name = 1; uint32 n = 2; repeated float list = 3; map<string, double> m = 4; B inner = 5; optional bytes o = 6; E e = 7; google.protobuf.Timestamp at = 8;
  oneof c { string x = 10; B y = 11; }
}`

func TestBreaking(t *testing.T) {
	older := file(t, released)
	f := func(want, from, to string) {
		t.Helper()
		if from != "" && !strings.Contains(released, from) {
			t.Fatalf("%q is not there to be changed", from)
		}
		found := Breaking(older, file(t, strings.Replace(released, from, to, 1)))
		if want == "" && len(found) > 0 || want != "" && !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%q to %q: found %q, want %q", from, to, found, want)
		}
	}
	f("", "", "")
	f("", "string name = 1;", "string name = 1; string more = 20;")
	f("", "message A {", "message C { A a = 1; }\nmessage A {")
	f("", "ONE = 1;", "ONE = 1; TWO = 2;")
	f("", "uint32 n = 2;", `reserved 2; reserved "n";`)

	f("p.A.n (2) is gone, and its number is not reserved", "uint32 n = 2;", "")
	f("p.A.n (2) is gone, and its name is not reserved", "uint32 n = 2;", "reserved 2;")
	f("p.A.n (2) has the number 12 now", "uint32 n = 2;", "reserved 2; uint32 n = 12;")
	f("p.A.n (2) is called count now", "uint32 n = 2;", "uint32 count = 2;")
	f("p.A.n (2) is uint64, was uint32", "uint32 n = 2;", "uint64 n = 2;")
	f("p.A.n (2) is repeated", "uint32 n = 2;", "repeated uint32 n = 2;")
	f("p.A.n (2) is optional with presence true", "uint32 n = 2;", "optional uint32 n = 2;")
	f("p.A.n (2) has the JSON name count", "uint32 n = 2;", `uint32 n = 2 [json_name = "count"];`)
	f("p.A.list (3) is double, was float", "repeated float list", "repeated double list")
	f("p.A.m (4) maps string to float", "map<string, double>", "map<string, float>")
	f("p.A.inner (5) is google.protobuf.Timestamp, was p.B", "B inner", "google.protobuf.Timestamp inner")
	f("p.A.o (6)", "optional bytes o", "bytes o")
	f("p.A.at (8) is int64, was google.protobuf.Timestamp", "google.protobuf.Timestamp at", "int64 at")
	f("number 9 is reserved no more", `reserved 9; reserved "old";`, "uint32 again = 9;")
	f("number 9 is reserved no more", `reserved 9; reserved "old";`, "")
	f(`p.A.x (10) is in the oneof "", was in "c"`, "oneof c { string x = 10; B y = 11; }", "string x = 10; B y = 11;")
	f("message p.Unused is gone", "message Unused {}", "")
	f("p.ONE (1) is gone", "ONE = 1;", "")
	f("p.ONE (1) is called UN now", "ONE = 1;", "UN = 1;")
	f("enum p.Idle is gone", "enum Idle { ZERO = 0; }", "")
}

func TestFillAndSameMeaning(t *testing.T) {
	fileA := file(t, released)
	message := func(f protoreflect.FileDescriptor) *dynamicpb.Message {
		return dynamicpb.NewMessage(f.Messages().ByName("A"))
	}
	full := message(fileA)
	Fill(full)
	// Of a oneof one field alone can be there.
	if unset := Unset(full); len(unset) != 1 || unset[0] != "p.A.x" {
		t.Errorf("left out: %v", unset)
	}
	again := message(fileA)
	Fill(again)
	if !proto.Equal(full, again) {
		t.Error("a message is filled differently the second time")
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	f := func(from, to string, want ...string) {
		t.Helper()
		other := message(file(t, strings.Replace(released, from, to, 1)))
		if err := proto.Unmarshal(value, other); err != nil {
			t.Fatal(err)
		}
		found := strings.Join(SameMeaning(full, other), "\n")
		for _, w := range want {
			if !strings.Contains(found, w) {
				t.Errorf("%q to %q: found %q, want %q", from, to, found, w)
			}
		}
		if len(want) == 0 && found != "" {
			t.Errorf("%q to %q: found %q", from, to, found)
		}
	}
	f("", "")
	f("string name = 1;", "string name = 1; string more = 20;")
	f("uint32 n = 2;", "", "n is not known")
	f("uint32 n = 2;", "uint64 n = 2;", "n is n, optional uint64")
	f("string b = 1;", "string c = 1;", "inner.b is c")

	change := func(want string, change func(m *dynamicpb.Message)) {
		t.Helper()
		other := message(fileA)
		Fill(other)
		change(other)
		if found := SameMeaning(full, other); len(found) != 1 || !strings.Contains(found[0], want) {
			t.Errorf("found %q, want %q", found, want)
		}
	}
	field := func(m *dynamicpb.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
		return m.Descriptor().Fields().ByName(name)
	}
	change("n is 21 and 5", func(m *dynamicpb.Message) { m.Set(field(m, "n"), protoreflect.ValueOfUint32(5)) })
	change("name is there: true and false", func(m *dynamicpb.Message) { m.Clear(field(m, "name")) })
	change("list has 2 and 1 values", func(m *dynamicpb.Message) { m.Mutable(field(m, "list")).List().Truncate(1) })
	change("m has 2 and 1 entries", func(m *dynamicpb.Message) {
		m.Mutable(field(m, "m")).Map().Clear(protoreflect.ValueOfString("key 11 æøå").MapKey())
	})
	change("inner.b is", func(m *dynamicpb.Message) {
		inner := m.Mutable(field(m, "inner")).Message()
		inner.Set(inner.Descriptor().Fields().ByName("b"), protoreflect.ValueOfString("other"))
	})
}
