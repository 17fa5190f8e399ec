// Package telemetrytest is an OpenTelemetry collector for tests: it takes OTLP/HTTP at the wire and keeps the spans.
package telemetrytest

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it came.
type Span struct {
	// Trace, ID and Parent are in hexadecimal; Parent is empty of one that begins its trace. Links are the IDs of spans.
	Trace, ID, Parent string
	Links             []string
	Service, Name     string
	// Attributes are as text.
	Attributes map[string]string
	Failed     bool
	Start, End time.Time
}

// Receiver is a collector.
type Receiver struct {
	server *httptest.Server

	mu     sync.Mutex
	status int // of answers, 200 unless it refuses
	spans  []Span
	text   strings.Builder
}

// Start starts a collector for the time of a test.
func Start(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{status: http.StatusOK}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.take)
	r.server = httptest.NewServer(mux)
	t.Cleanup(r.server.Close)
	return r
}

// URL is what --otlp-endpoint takes.
func (r *Receiver) URL() string { return r.server.URL }

// Answer has the collector answer with a status from now on; it keeps spans while that is 200.
func (r *Receiver) Answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// Spans returns what came, by their start.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	spans := slices.Clone(r.spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return spans
}

// Text is all that came, readable, to be searched for what must not be there.
func (r *Receiver) Text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *Receiver) take(w http.ResponseWriter, q *http.Request) {
	body := io.Reader(q.Body)
	if q.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	data, err := io.ReadAll(body)
	request := &collector.ExportTraceServiceRequest{}
	if err == nil {
		err = proto.Unmarshal(data, request)
	}
	if err != nil || q.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == http.StatusOK {
		r.keep(request)
	}
	answer, _ := proto.Marshal(&collector.ExportTraceServiceResponse{}) // empty
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(r.status)
	_, _ = w.Write(answer)
}

// keep adds a request's spans.
func (r *Receiver) keep(request *collector.ExportTraceServiceRequest) {
	r.text.WriteString(prototext.Format(request))
	for _, of := range request.ResourceSpans {
		service := texts(of.GetResource().GetAttributes())["service.name"]
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				span := Span{
					Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId), Service: service, Name: s.Name,
					Attributes: texts(s.Attributes), Failed: s.GetStatus().GetCode() == wire.Status_STATUS_CODE_ERROR,
					Start: time.Unix(0, int64(s.StartTimeUnixNano)), End: time.Unix(0, int64(s.EndTimeUnixNano)),
				}
				for _, l := range s.Links {
					span.Links = append(span.Links, hex.EncodeToString(l.SpanId))
				}
				r.spans = append(r.spans, span)
			}
		}
	}
}

func texts(attributes []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		_, text, _ := strings.Cut(prototext.MarshalOptions{}.Format(a.GetValue()), ":")
		all[a.Key] = strings.Trim(strings.TrimSpace(text), `"`)
	}
	return all
}
