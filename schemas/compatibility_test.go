package schemas_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"jobstrom/schemas"
	"jobstrom/schemas/schematest"
)

// releases are those whose records are kept: chaos/records/make.sh adds one.
func releases(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("testdata/records-*")
	if err != nil || len(found) == 0 {
		t.Fatalf("no release's records are in testdata: %v", err)
	}
	return found
}

// descriptorOf returns the messages of a release.
func descriptorOf(t *testing.T, release string) protoreflect.FileDescriptor {
	t.Helper()
	value, err := os.ReadFile(filepath.Join(release, "descriptor.binpb"))
	if err != nil {
		t.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(value, set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	file, err := files.FindFileByPath("jobstrom.proto")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// ofToday returns an empty message of this release.
func ofToday(t *testing.T, name protoreflect.FullName) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return kind.New().Interface()
}

func TestNoReleasedMessageIsBroken(t *testing.T) {
	for _, release := range releases(t) {
		for _, broken := range schematest.Breaking(descriptorOf(t, release), schemas.File_jobstrom_proto) {
			t.Errorf("%s: %s", release, broken)
		}
	}
}

// What a release wrote means the same to this one, as JSON and as Protobuf, in every field.
func TestOldMessagesAreRead(t *testing.T) {
	for _, release := range releases(t) {
		messages := descriptorOf(t, release).Messages()
		for i := range messages.Len() {
			was := messages.Get(i)
			for form, contentType := range map[string]string{"json": schemas.JSON, "binpb": schemas.Protobuf} {
				value, err := os.ReadFile(filepath.Join(release, "messages", string(was.Name())+"."+form))
				if err != nil {
					t.Fatal(err)
				}
				then, now := dynamicpb.NewMessage(was), ofToday(t, was.FullName())
				if err := schemas.Decode(contentType, value, then); err != nil {
					t.Fatal(err)
				}
				if unset := schematest.Unset(then); len(unset) > 0 {
					t.Errorf("%s, %s.%s leaves out %v: it shows nothing of them", release, was.Name(), form, unset)
				}
				for _, given := range []string{contentType, ""} {
					proto.Reset(now)
					if err := schemas.Decode(given, value, now); err != nil {
						t.Errorf("%s: %v", release, err)
						continue
					}
					for _, difference := range schematest.SameMeaning(then, now.ProtoReflect()) {
						t.Errorf("%s, %s.%s as %q: %s", release, was.Name(), form, given, difference)
					}
				}
			}
		}
	}
}

// A release that is still at work while another is replaced reads what the newer one writes: what it knows means the same, the rest it lets be.
func TestNewMessagesAreReadByOldReleases(t *testing.T) {
	for _, release := range releases(t) {
		messages := descriptorOf(t, release).Messages()
		for i := range messages.Len() {
			was := messages.Get(i)
			now := ofToday(t, was.FullName())
			schematest.Fill(now.ProtoReflect())
			for _, contentType := range []string{schemas.JSON, schemas.Protobuf} {
				value, err := schemas.Encode(contentType, now)
				if err != nil {
					t.Fatal(err)
				}
				then := dynamicpb.NewMessage(was)
				if err := schemas.Decode(contentType, value, then); err != nil {
					t.Errorf("%s reads a new %s: %v", release, was.Name(), err)
					continue
				}
				for _, difference := range schematest.SameMeaning(then, now.ProtoReflect()) {
					t.Errorf("%s reads a new %s, %s: %s", release, was.Name(), contentType, difference)
				}
				if unset := schematest.Unset(then); len(unset) > 0 {
					t.Errorf("%s reads a new %s, %s without %v", release, was.Name(), contentType, unset)
				}
			}
		}
	}
}

// later returns the descriptor of a release to come, in which every message has a field more.
func later(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	described := protodesc.ToFileDescriptorProto(schemas.File_jobstrom_proto)
	for _, m := range described.MessageType {
		last := int32(0)
		for _, f := range m.Field {
			last = max(last, f.GetNumber())
		}
		m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
			Name: proto.String("of_a_later_release"), JsonName: proto.String("ofALaterRelease"), Number: proto.Int32(last + 1), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		})
	}
	file, err := protodesc.NewFile(described, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if broken := schematest.Breaking(schemas.File_jobstrom_proto, file); len(broken) > 0 {
		t.Fatal(broken)
	}
	return file
}

// What is not known is ignored as JSON, and kept as Protobuf: a classifier's identity is a hash of it all.
func TestMessagesOfALaterReleaseAreRead(t *testing.T) {
	messages := later(t).Messages()
	for i := range messages.Len() {
		then := dynamicpb.NewMessage(messages.Get(i))
		schematest.Fill(then)
		for _, contentType := range []string{schemas.JSON, schemas.Protobuf} {
			value, err := schemas.Encode(contentType, then)
			if err != nil {
				t.Fatal(err)
			}
			now := ofToday(t, then.Descriptor().FullName())
			if err := schemas.Decode(contentType, value, now); err != nil {
				t.Errorf("%s, %s: %v", then.Descriptor().Name(), contentType, err)
				continue
			}
			for _, difference := range schematest.SameMeaning(now.ProtoReflect(), then) {
				t.Errorf("%s, %s: %s", then.Descriptor().Name(), contentType, difference)
			}
			if contentType != schemas.Protobuf {
				continue
			}
			again, err := schemas.Encode(contentType, now)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again, value) {
				t.Errorf("%s is written again as other bytes: what was not known is gone or has moved", then.Descriptor().Name())
			}
		}
	}
}

// Consumers without our schema go by the names in JSON.
func TestJSONNamesFieldsAsTheSchemaDoes(t *testing.T) {
	for _, release := range releases(t) {
		messages := descriptorOf(t, release).Messages()
		for i := range messages.Len() {
			was := messages.Get(i)
			value, err := os.ReadFile(filepath.Join(release, "messages", string(was.Name())+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(value, &fields); err != nil {
				t.Fatal(err)
			}
			for k := range was.Fields().Len() {
				if name := string(was.Fields().Get(k).Name()); fields[name] == nil {
					t.Errorf("%s, %s has no field %s", release, was.Name(), name)
				}
			}
		}
	}
}
