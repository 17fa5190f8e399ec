package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Content types, as the content-type header of a record gives them.
const (
	JSON     = "application/json"
	Protobuf = "application/protobuf"
)

// ErrMalformed is wrapped by Decode for bytes that are not the message they should be. Nobody can retry it.
var ErrMalformed = errors.New("malformed")

var (
	jsonOut = protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}
	jsonIn  = protojson.UnmarshalOptions{DiscardUnknown: true}
)

// Encode writes a message as JSON or Protobuf. Protobuf output is deterministic.
func Encode(contentType string, m proto.Message) ([]byte, error) {
	switch contentType {
	case JSON:
		return jsonOut.Marshal(m)
	case Protobuf:
		return proto.MarshalOptions{Deterministic: true}.Marshal(m)
	}
	return nil, fmt.Errorf("encoding %s: unknown content type %q", m.ProtoReflect().Descriptor().Name(), contentType)
}

// Decode reads a message. Without a content type, a value that begins like a JSON object is taken for JSON.
// Unknown fields are ignored, so that an older reader understands a newer writer. A value in Confluent's wire format is read, too.
func Decode(contentType string, value []byte, m proto.Message) error {
	name := strings.ToLower(string(m.ProtoReflect().Descriptor().Name()))
	value = Unframe(contentType, value)
	if contentType == "" {
		contentType = Protobuf
		if looksLikeJSON(value) {
			contentType = JSON
		}
	}
	switch mediaType(contentType) {
	case JSON:
		if !utf8.Valid(value) {
			return fmt.Errorf("%w %s: byte %d is not UTF-8: publish UTF-8", ErrMalformed, name, invalidUTF8(value))
		}
		if err := jsonIn.Unmarshal(value, m); err != nil {
			return fmt.Errorf("%w %s: %s", ErrMalformed, name, jsonReason(value, m))
		}
	case Protobuf:
		if err := proto.Unmarshal(value, m); err != nil {
			return fmt.Errorf("%w %s: not a Protobuf message (%d bytes)", ErrMalformed, name, len(value))
		}
	default:
		return fmt.Errorf("%w %s: unknown content-type %.50q: use %s or %s", ErrMalformed, name, contentType, JSON, Protobuf)
	}
	return nil
}

// mediaType cuts the parameters off.
func mediaType(contentType string) string {
	base, _, _ := strings.Cut(contentType, ";")
	return strings.TrimSpace(base)
}

// looksLikeJSON tells an object (or text, which nobody publishes as Protobuf) from Protobuf, whose first byte is a small field tag. That byte can
// be a line feed.
func looksLikeJSON(value []byte) bool {
	trimmed := strings.TrimLeft(string(value[:min(len(value), 64)]), " \t\r\n\ufeff")
	if trimmed == "" || value[0] >= ' ' {
		return true
	}
	return trimmed[0] == '{' && json.Valid(value)
}

// invalidUTF8 returns the position of the first byte that is not UTF-8.
func invalidUTF8(value []byte) int {
	for i := 0; i < len(value); {
		r, size := utf8.DecodeRune(value[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(value)
}

// jsonReason says what is wrong without quoting content, which may hold personal data.
func jsonReason(value []byte, m proto.Message) string {
	var syntax *json.SyntaxError
	var fields map[string]json.RawMessage
	if e := json.Unmarshal(value, &fields); e != nil {
		if errors.As(e, &syntax) {
			return fmt.Sprintf("not a JSON object: %s at byte %d of %d", quoteFree(syntax.Error()), syntax.Offset, len(value))
		}
		return "not a JSON object"
	}
	// Read alone, each field shows whether it is the wrong one; its name is ours and may be said, its value not.
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		one, _ := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		if jsonIn.Unmarshal(one, m.ProtoReflect().New().Interface()) != nil {
			return fmt.Sprintf("field %.30q has a value of the wrong type", name)
		}
	}
	return "a field stands there twice"
}

// quoteFree cuts the quoted character out of encoding/json's messages.
func quoteFree(s string) string {
	before, _, found := strings.Cut(s, "'")
	if !found {
		return s
	}
	return strings.TrimSpace(before) + " unexpected"
}
