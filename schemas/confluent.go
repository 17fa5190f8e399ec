package schemas

import (
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Confluent's wire format puts before a value: a zero byte, the id of its schema in four bytes and, for Protobuf, which message of the schema it is. Neither
// JSON nor Protobuf begins with a zero byte, so readers tell framed values from bare ones.

//go:embed jobstrom.proto
var protoFile string

// Unframe returns a value without Confluent's frame, or as it is when it has none. Whose schema it is does not matter to a reader of ours: it knows the message.
func Unframe(contentType string, value []byte) []byte {
	const header = 5
	if len(value) < header || value[0] != 0 {
		return value
	}
	bare := value[header:]
	if mediaType(contentType) == JSON || contentType == "" && looksLikeJSON(bare) {
		return bare
	}
	count, n := binary.Varint(bare)
	if n <= 0 || count < 0 || count > 100 { // no frame of ours to read: the value will be malformed
		return value
	}
	bare = bare[n:]
	for range count {
		if _, n = binary.Varint(bare); n <= 0 {
			return value
		}
		bare = bare[n:]
	}
	return bare
}

// Definition returns a message's schema for a schema registry: the file of all messages with the message's index in it for Protobuf, a JSON Schema without
// index for JSON.
func Definition(contentType string, m proto.Message) (text string, index []int, err error) {
	d := m.ProtoReflect().Descriptor()
	switch contentType {
	case Protobuf:
		return protoFile, []int{d.Index()}, nil
	case JSON:
		schema := objectSchema(d)
		schema["$schema"], schema["title"] = "http://json-schema.org/draft-07/schema#", string(d.FullName())
		data, err := json.MarshalIndent(schema, "", "  ")
		return string(data), nil, err
	}
	return "", nil, fmt.Errorf("defining %s: unknown content type %q", d.Name(), contentType)
}

type object = map[string]any

// objectSchema is closed, so that a field that is added later makes a compatible schema.
func objectSchema(d protoreflect.MessageDescriptor) object {
	properties := object{}
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		switch {
		case f.IsMap():
			properties[string(f.Name())] = object{"type": "object", "additionalProperties": valueSchema(f.MapValue())}
		case f.IsList():
			properties[string(f.Name())] = object{"type": "array", "items": valueSchema(f)}
		default:
			properties[string(f.Name())] = valueSchema(f)
		}
	}
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

// valueSchema follows the JSON mapping of Protobuf.
func valueSchema(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return object{"type": "number"}
	case protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Sint32Kind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return object{"type": "integer"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.MessageKind:
		if f.Message().FullName() == "google.protobuf.Timestamp" {
			return object{"type": "string", "format": "date-time"}
		}
		return objectSchema(f.Message())
	}
	return object{"type": "string"} // numbers of 64 bits, too
}
