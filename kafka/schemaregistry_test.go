package kafka_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
	"jobstrom/schemas"
	"jobstrom/security"
	"jobstrom/security/certs"
)

// outside decodes a framed value as a stranger does, who knows the registry and nothing of ours. It returns the message as JSON.
func outside(t *testing.T, registry *sr.Client, subject string, value []byte) string {
	t.Helper()
	var header sr.ConfluentHeader
	id, rest, err := header.DecodeID(value)
	if err != nil {
		t.Fatalf("%s: %v in %.20q", subject, err, value)
	}
	schema, err := registry.SchemaByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	latest, err := registry.SchemaByVersion(t.Context(), subject, -1)
	if err != nil || latest.ID != id {
		t.Fatalf("%s: the value has schema %d, the subject %d, %v", subject, id, latest.ID, err)
	}
	if schema.Type == sr.TypeJSON {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.Schema))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("schema.json", document); err != nil {
			t.Fatal(err)
		}
		compiled, err := compiler.Compile("schema.json")
		if err != nil {
			t.Fatal(err)
		}
		message, err := jsonschema.UnmarshalJSON(bytes.NewReader(rest))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(message); err != nil {
			t.Errorf("%s: the value is not of its schema: %v\n%s", subject, err, rest)
		}
		return string(rest)
	}
	index, rest, err := header.DecodeIndex(rest, 1)
	if err != nil {
		t.Fatal(err)
	}
	files, err := (&protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"schema.proto": schema.Schema}),
	})}).Compile(t.Context(), "schema.proto")
	if err != nil {
		t.Fatal(err)
	}
	message := dynamicpb.NewMessage(files[0].Messages().Get(index[0]))
	if err := proto.Unmarshal(rest, message); err != nil {
		t.Fatal(err)
	}
	text, err := schemas.Encode(schemas.JSON, message)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// one is a message with all its fields set, to every depth that matters.
var (
	at         = schemas.Time(time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC))
	extraction = &schemas.Extraction{Id: "a", Text: "murer", Occupations: []string{"murer"}, EmployerHash: []byte{1, 2}, PublishedAt: at, Attributes: map[string]string{"k": "v"}}
	messages   = map[string]struct {
		contentType string
		message     proto.Message
	}{
		kafka.Raw:             {schemas.JSON, &schemas.Vacancy{Id: "a", Text: "Vi søger en murer", PublishedAt: at}},
		kafka.Extracted:       {schemas.Protobuf, extraction},
		kafka.Embedded("abc"): {schemas.Protobuf, &schemas.Embedding{Extraction: extraction, Vector: []float32{1, 0}, Encoder: "abc"}},
		kafka.Classified:      {schemas.JSON, &schemas.Classification{Id: "a", Category: "Ledelse", CategoryIndex: 10, Confidence: .5, Probabilities: []float32{.5}, PublishedAt: at, ClassifiedAt: at}},
		kafka.Shadow:          {schemas.JSON, &schemas.Classification{Id: "a", Category: "Ledelse", Probabilities: []float32{1}}},
		kafka.Labels:          {schemas.JSON, &schemas.Label{Id: "a", Category: "Ledelse", LabelledAt: at}},
		kafka.APIPredictions: {schemas.Protobuf, &schemas.ApiPrediction{
			Embedding: &schemas.Embedding{Extraction: &schemas.Extraction{Id: "a"}, Vector: []float32{1, 0}, Encoder: "abc"}, Classification: &schemas.Classification{Id: "a"}, TextHash: []byte{1},
		}},
		kafka.DeadLetter: {schemas.JSON, &schemas.DeadLetter{Stage: "extract", Topic: kafka.Raw, Offset: 1 << 40, Value: []byte{0, 1}, Headers: []*schemas.Header{{Name: "h", Value: []byte("v")}}, FailedAt: at}},
		kafka.DriftEvents: {schemas.JSON, &schemas.DriftEvent{
			Id: "e", At: at, Kind: "raised", Column: "category", Effect: .25, Reference: &schemas.TimeWindow{From: at, To: at, Vacancies: 1 << 40},
			Changes: []*schemas.ShareChange{{Value: "Salg", Reference: .1, Current: .35}},
		}},
	}
)

// With a schema registry an outside consumer decodes every topic by the schema's id, and readers of ours read both kinds of values.
func TestValuesCarryTheirSchema(t *testing.T) {
	fakeRegistry := srfake.New(srfake.WithAuth("Basic " + base64.StdEncoding.EncodeToString([]byte("writer:"+password))))
	defer fakeRegistry.Close()
	settings := kafka.SchemaRegistry{URLs: []string{fakeRegistry.URL()}, User: "writer", Password: given(password)}
	registry, err := sr.NewClient(sr.URLs(fakeRegistry.URL()), sr.BasicAuth("writer", password))
	if err != nil {
		t.Fatal(err)
	}
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		frames, err := settings.Frames(t.Context(), "abc")
		if err != nil {
			t.Fatal(err)
		}
		framing, err := kafka.NewClient(kafka.Options{Brokers: addrs, Frames: frames})
		if err != nil {
			t.Fatal(err)
		}
		defer framing.Close()
		bare := client(t, addrs...)
		if err := kafka.EnsureTopics(t.Context(), bare, "abc", kafka.Layout{Partitions: 1, Replication: 1}); err != nil {
			t.Fatal(err)
		}
		for topic, is := range messages {
			value, err := schemas.Encode(is.contentType, is.message)
			if err != nil {
				t.Fatal(err)
			}
			record := func(more ...kgo.RecordHeader) *kgo.Record {
				return &kgo.Record{Topic: topic, Key: []byte("a"), Value: value, Headers: append([]kgo.RecordHeader{{Key: kafka.ContentType, Value: []byte(is.contentType)}}, more...)}
			}
			replayed := record(kgo.RecordHeader{Key: "replay-of", Value: []byte("0/1")})
			tombstone := &kgo.Record{Topic: topic, Key: []byte("a")}
			if err := framing.ProduceSync(t.Context(), record(), replayed, tombstone).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := bare.ProduceSync(t.Context(), record()).FirstErr(); err != nil {
				t.Fatal(err)
			}
			n := 0
			err = kafka.Scan(t.Context(), kafka.Options{Brokers: addrs}, kafka.ScanOptions{Topics: []string{topic}}, func(r *kgo.Record) error {
				framed := len(r.Value) > 0 && r.Value[0] == 0
				if framed != (n == 0) || (r.Value == nil) != (n == 2) {
					t.Errorf("%s: record %d is %.10q", topic, n, r.Value)
				}
				if framed {
					want, _ := schemas.Encode(schemas.JSON, is.message)
					if got := outside(t, registry, topic+"-value", r.Value); !sameJSON(got, string(want)) {
						t.Errorf("%s: an outside consumer reads %s, want %s", topic, got, want)
					}
				}
				for _, contentType := range []string{is.contentType, ""} {
					got := is.message.ProtoReflect().New().Interface()
					if r.Value == nil {
						break
					}
					if err := schemas.Decode(contentType, r.Value, got); err != nil || !proto.Equal(got, is.message) {
						t.Errorf("%s: record %d as %q: %v, %v", topic, n, contentType, got, err)
					}
				}
				n++
				return nil
			})
			if err != nil || n != 4 {
				t.Errorf("%s: %d records, %v", topic, n, err)
			}
		}
	})
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return bytes.Equal(p, q)
}

func TestSchemaRegistryFailures(t *testing.T) {
	var log bytes.Buffer
	f := func(r kafka.SchemaRegistry, want ...string) {
		t.Helper()
		r.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		_, err := r.Frames(context.Background(), "abc")
		for _, w := range append(want, "registering schemas at "+r.URLs[0]) {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want %q", err, w)
			}
		}
		if err != nil && strings.Contains(err.Error(), password) || strings.Contains(log.String(), password) {
			t.Errorf("the password shows in %v or %s", err, &log)
		}
	}
	answering := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	as := func(url string) kafka.SchemaRegistry {
		return kafka.SchemaRegistry{URLs: []string{url}, User: "writer", Password: given(password), Wait: time.Minute}
	}
	inVain := func(url string) kafka.SchemaRegistry { // it is asked until the wait ends
		r := as(url)
		r.Wait = 3 * time.Second
		return r
	}
	guarded := srfake.New(srfake.WithAuth("Basic another"))
	defer guarded.Close()
	f(as(guarded.URL()), "no right to register")
	f(as(answering(401, `{"error_code":401,"message":"Unauthorized"}`)), "refuses the user")
	f(inVain("http://127.0.0.1:1"), "does not answer", "Without --schema-registry")
	f(as(answering(409, `{"error_code":409,"message":"incompatible"}`)), "not compatible with", "incompatible")
	f(as(answering(403, `{"error_code":40301,"message":"writer:`+password+` may not"}`)), "no right to register", "(hidden)")
	f(as(answering(404, "not found")), "no schema registry at that address")
	f(inVain(answering(503, "later")), "status 503")
	ours := certs.NewAuthority(t)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.TLS = ours.Server(ours.Pair("registry", time.Hour), false)
	secure.StartTLS()
	defer secure.Close()
	f(as(secure.URL), "--schema-registry-ca")
	trusting := as(secure.URL)
	trusting.TLS.CA = ours.CA
	f(trusting, "no schema registry at that address")
	f(inVain(strings.Replace(answering(200, "{}"), "http:", "https:", 1)), "does not speak TLS there")
	if !strings.Contains(log.String(), "trying again") {
		t.Error("nothing was tried again")
	}
}

// A registry that comes back while it is waited for is no failure.
func TestSchemaRegistryIsWaitedFor(t *testing.T) {
	registry := srfake.NewRegistry()
	var refused atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused.Add(1) <= 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		registry.Handler().ServeHTTP(w, r)
	}))
	defer s.Close()
	frames, err := kafka.SchemaRegistry{URLs: []string{s.URL}}.Frames(t.Context(), "abc")
	if err != nil || len(frames) != len(messages) {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
}

func TestSchemaRegistryValidate(t *testing.T) {
	f := func(r kafka.SchemaRegistry, want string) {
		t.Helper()
		var said []string
		for _, err := range r.Validate() {
			said = append(said, err.Error())
		}
		if got := strings.Join(said, "; "); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%+v: got %q, want %q", r, got, want)
		}
	}
	f(kafka.SchemaRegistry{}, "")
	f(kafka.SchemaRegistry{URLs: []string{"https://r:8081"}, User: "u", Password: given("p"), TLS: security.TLS{CA: "ca"}}, "")
	f(kafka.SchemaRegistry{URLs: []string{"registry:8081"}}, "must be http://host:port")
	f(kafka.SchemaRegistry{URLs: []string{"http://u:p@r"}}, "must not hold a user")
	f(kafka.SchemaRegistry{User: "u"}, "need schema-registry")
	f(kafka.SchemaRegistry{URLs: []string{"http://r"}, User: "u"}, "need each other")
	f(kafka.SchemaRegistry{URLs: []string{"http://r"}, TLS: security.TLS{CA: "ca"}}, "need a schema-registry of https")
	f(kafka.SchemaRegistry{URLs: []string{"https://r"}, TLS: security.TLS{Cert: "c"}}, "schema-registry-cert (c) needs schema-registry-key")
}
