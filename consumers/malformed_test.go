package consumers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"jobstrom/kafka"
	"jobstrom/samples"
	"jobstrom/schemas"
)

// malformer makes records that publishers should not write, and good ones in between. The same seed makes the same records.
type malformer struct {
	*rand.Rand
	samples [][]byte // vacancies as JSON
	encoder string
	dim     int
}

func newMalformer(seed uint64, encoder string, dim int) *malformer {
	m := &malformer{Rand: rand.New(rand.NewPCG(seed, 1)), encoder: encoder, dim: dim}
	all := new(bytes.Buffer)
	_, _ = all.ReadFrom(samples.Vacancies()) // from memory
	m.samples = bytes.Split(bytes.TrimSpace(all.Bytes()), []byte("\n"))
	return m
}

// vacancy is a good one: mostly short, now and then a whole sample.
func (m *malformer) vacancy() []byte {
	if m.IntN(50) == 0 {
		return bytes.Clone(m.samples[m.IntN(len(m.samples))])
	}
	titles := []string{"Kok", "Tømrer", "Sygeplejerske", "Elektriker", "Pædagog", "Lagermedarbejder"}
	title := titles[m.IntN(len(titles))]
	return fmt.Appendf(nil, `{"id":"f-%d","title":%q,"text":"Vi søger en %s til nr. %d. Du skal lave mad og montere vinduer."}`, m.Uint64(), title, strings.ToLower(title), m.IntN(1000))
}

// message is a good vacancy as Protobuf.
func (m *malformer) message() []byte {
	v := &schemas.Vacancy{Id: fmt.Sprint(m.Uint64()), Title: "Kok", Text: "Vi søger en kok. Du skal lave mad i vores køkken.", PublishedAt: timestamppb.New(time.Unix(1_764_000_000, 0))}
	value, _ := schemas.Encode(schemas.Protobuf, v)
	return value
}

// mutate flips, cuts, doubles or inserts bytes.
func (m *malformer) mutate(b []byte) []byte {
	for range 1 + m.IntN(4) {
		if len(b) == 0 {
			return []byte{byte(m.Uint32())}
		}
		at := m.IntN(len(b))
		switch m.IntN(5) {
		case 0:
			b[at] ^= 1 << m.IntN(8)
		case 1:
			b = b[:at]
		case 2:
			b = append(b[:at:at], b[m.IntN(at+1):]...)
		case 3:
			b = append(b[:at:at], append([]byte{0xff, 0, '"', '{'}[:1+m.IntN(4)], b[at:]...)...)
		case 4:
			b[at] = byte(m.Uint32())
		}
	}
	return b
}

func (m *malformer) bytes(n int) []byte {
	b := make([]byte, m.IntN(n+1))
	for i := range b {
		b[i] = byte(m.Uint32())
	}
	return b
}

// of returns one of the choices.
func of[T any](m *malformer, choices ...T) T { return choices[m.IntN(len(choices))] }

// text is a text that is hard on what reads it.
func (m *malformer) text() string {
	unit := of(m, "<div>", "</p", "&#x", "22 31 44 56 ", "a@b.", "\u0000", "\u202e\u200f", "e\u0301\u0301\u0301", "😀", "Kontakt Mette Hansen ", "240785-", "www.", "((((", "- \n", "\t", " ", "ﷺ", "\ufeff", "https://x.dk/?q=", "Vestergade 12, ")
	return strings.Repeat(unit, 1+m.IntN(200)) + of(m, "", "Du skal lave mad.", "Kok søges")
}

// raw makes a record for the raw topic. It makes no key with a null value, which is no malformed vacancy but an erasure.
func (m *malformer) raw() *kgo.Record {
	r := &kgo.Record{Topic: kafka.Raw}
	header := func(name string, value []byte) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: value})
	}
	quoted := func(s string) []byte { b, _ := json.Marshal(s); return b }
	switch m.IntN(24) {
	case 0, 1, 2:
		r.Value = m.vacancy()
	case 3:
		r.Value = m.vacancy()
		header(kafka.ContentType, []byte(of(m, schemas.JSON, "application/json; charset=utf-8", " application/json")))
	case 4, 5:
		r.Value = m.message()
		header(kafka.ContentType, []byte(schemas.Protobuf))
	case 6:
		v := m.vacancy()
		r.Value = v[:m.IntN(len(v))] // truncated
	case 7:
		v := m.message()
		r.Value = v[:m.IntN(len(v))]
		header(kafka.ContentType, []byte(schemas.Protobuf))
	case 8, 9:
		r.Value = m.mutate(m.vacancy())
	case 10, 11:
		r.Value = m.mutate(m.message())
		if m.IntN(2) == 0 {
			header(kafka.ContentType, []byte(schemas.Protobuf))
		}
	case 12: // not UTF-8
		r.Value = fmt.Appendf(nil, `{"text":"Vi søger en kok %s"}`, of(m, "\xff\xfe", "\xc3\x28", "\xed\xa0\x80", "\xf8\x88", "\xc0\xaf"))
	case 13: // wrong types
		r.Value = fmt.Appendf(nil, `{"text":%s,"attributes":%s}`, of(m, "1", "true", "null", "[]", "{}", `["Kok"]`), of(m, "1", `{"a":1}`, `{"a":null}`, `[]`, `{"a":{"b":"c"}}`))
	case 14: // numbers
		r.Value = fmt.Appendf(nil, `{"text":"Vi søger en kok","id":%s,"published_at":%s}`, of(m, `"1"`, "1e999", "-0", strings.Repeat("9", 1+m.IntN(500))), of(m, `"9999-12-31T23:59:59.999999999Z"`, `"0001-01-01T00:00:00Z"`, `"2026-02-30T00:00:00Z"`, `"1970-01-01T00:00:00Z"`, "1e400", `"+infinity"`))
	case 15: // deep nesting
		depth := 1 << m.IntN(16)
		open, closed := "[", "]"
		if m.IntN(2) == 0 {
			open, closed = `{"a":`, "}"
		}
		r.Value = []byte(`{"text":"Vi søger en kok","x":` + strings.Repeat(open, depth) + "1" + strings.Repeat(closed, depth*m.IntN(2)) + "}")
	case 16: // other content types
		r.Value = of(m, m.vacancy(), m.message())
		header(kafka.ContentType, of(m, []byte("text/plain"), []byte("application/avro"), nil, []byte{0xff}, []byte(schemas.Protobuf), []byte(schemas.JSON), []byte(strings.Repeat("x", 10_000))))
	case 17:
		r.Value = nil // without a key it is no erasure
	case 18:
		r.Value = of(m, []byte{}, []byte{0}, []byte("null"), []byte("true"), []byte("[]"), []byte(`""`), []byte("{}"), []byte("\ufeff{}"), []byte(" "))
	case 19:
		r.Value = m.bytes(300)
	case 20, 21:
		r.Value = append(append([]byte(`{"text":`), quoted(m.text())...), fmt.Sprintf(`,"title":%s,"employer":%s}`, quoted(of(m, "", m.text())), quoted(of(m, "", "A/S", m.text())))...)
	case 22: // coordinates that only a stage or a replay may write
		r.Value = m.vacancy()
		r.Headers = kafka.Coordinates{Partition: int32(m.IntN(9) - 4), Offset: m.Int64(), Time: time.UnixMilli(m.Int64N(1 << 60))}.Headers(schemas.JSON)
		header(of(m, "replays", "replay-of", "replayed", "raw-offset"), of(m, []byte("1"), []byte("-1"), []byte("99999999999999999999"), nil, m.bytes(20)))
	case 23:
		r.Value = m.vacancy()
		if m.IntN(500) == 0 {
			r.Value = fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("Vi søger en kok. ", schemas.MaxText/16)) // beyond the limit
		}
		for range m.IntN(30) {
			header(string(m.bytes(10)), m.bytes(30))
		}
	}
	if m.IntN(3) == 0 && r.Value != nil {
		r.Key = of(m, m.bytes(20), []byte{0}, []byte{}, []byte("f-1"))
	}
	r.Partition = int32(m.IntN(fuzzPartitions))
	return r
}

// inner makes a record for a topic between the stages, as another program with the right to write there could.
func (m *malformer) inner() *kgo.Record {
	place := kafka.Coordinates{Topic: kafka.TopicID{1}, Partition: int32(m.IntN(3)), Offset: m.Int64N(1 << 40), Time: time.UnixMilli(of(m, 0, m.Int64N(1<<41), 253402300799999))}
	x := &schemas.Extraction{Id: fmt.Sprint(m.Uint64()), Text: m.text()}
	r := &kgo.Record{Topic: kafka.Extracted, Key: []byte(x.Id), Partition: int32(m.IntN(fuzzPartitions))}
	r.Value, _ = schemas.Encode(schemas.Protobuf, x) // valid
	if m.IntN(2) == 0 {
		r.Topic = kafka.Embedded(m.encoder)
		e := &schemas.Embedding{Extraction: x, Encoder: of(m, m.encoder, m.encoder, "", "another"), Vector: make([]float32, of(m, m.dim, m.dim, 0, 1, m.dim+1))}
		for i := range e.Vector {
			e.Vector[i] = of(m, float32(0), 1, -1, math.MaxFloat32, float32(math.Inf(1)), float32(math.NaN()))
		}
		if m.IntN(4) == 0 {
			e.Extraction = nil
		}
		r.Value, _ = schemas.Encode(schemas.Protobuf, e)
	}
	switch m.IntN(4) {
	case 0:
		r.Value = m.mutate(r.Value)
	case 1:
		r.Value = r.Value[:m.IntN(len(r.Value)+1)]
	}
	if r.Value == nil {
		r.Value = []byte{}
	}
	r.Headers = place.Headers(of(m, schemas.Protobuf, schemas.Protobuf, schemas.JSON, "", "x"))
	if m.IntN(4) == 0 {
		r.Headers = r.Headers[:m.IntN(len(r.Headers))]
	}
	return r
}
