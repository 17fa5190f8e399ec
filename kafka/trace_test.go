package kafka_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
)

const (
	someTrace   = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + someTrace + "-b7ad6b7169203331-01"
)

func header(name, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: name, Value: []byte(value)}
}

func TestTraceOfSuccess(t *testing.T) {
	r := &kgo.Record{Headers: []kgo.RecordHeader{header("traceparent", traceparent)}}
	span := kafka.TraceOf(r)
	if !span.IsValid() || !span.IsSampled() || !span.IsRemote() || span.TraceID().String() != someTrace {
		t.Fatalf("got %v", span)
	}
	to := &kgo.Record{Headers: []kgo.RecordHeader{header("content-type", "x")}}
	for range 2 { // a second time changes nothing
		kafka.CarryTrace(r, to)
	}
	if len(to.Headers) != 2 || kafka.Header(to, "traceparent") != traceparent {
		t.Errorf("got %v", to.Headers)
	}
	kafka.SetTrace(to, span.WithTraceFlags(0))
	if len(to.Headers) != 2 || kafka.Header(to, "traceparent") != strings.TrimSuffix(traceparent, "01")+"00" {
		t.Errorf("got %v", to.Headers)
	}
}

// The short look at a header says of every valid one what reading it says.
func TestTraceDropped(t *testing.T) {
	valid := 0
	for flags := range 256 {
		r := &kgo.Record{Headers: []kgo.RecordHeader{header("traceparent", fmt.Sprintf("%s%02x", strings.TrimSuffix(traceparent, "01"), flags))}}
		if span := kafka.TraceOf(r); span.IsValid() {
			valid++
			if kafka.TraceDropped(r) == span.IsSampled() {
				t.Errorf("flags %02x: sampled %t, dropped %t", flags, span.IsSampled(), kafka.TraceDropped(r))
			}
		}
	}
	if valid < 2 {
		t.Errorf("%d valid headers", valid)
	}
	if kafka.TraceDropped(untraced()) || kafka.TraceDropped(&kgo.Record{Headers: []kgo.RecordHeader{header("traceparent", "0")}}) {
		t.Error("no trace is one that is not kept")
	}
}

// What is no header of a trace is none, and is not handed on; nor are its companions, which may hold anything.
func TestTraceOfFailure(t *testing.T) {
	f := func(headers ...kgo.RecordHeader) {
		t.Helper()
		r, to := &kgo.Record{Headers: headers}, &kgo.Record{}
		if span := kafka.TraceOf(r); span.IsValid() {
			t.Errorf("%.80v is the span %v", headers, span)
		}
		if kafka.CarryTrace(r, to); len(to.Headers) != 0 {
			t.Errorf("%.80v is handed on", headers)
		}
	}
	f()
	f(header("traceparent", ""))
	f(header("traceparent", traceparent[1:]))
	f(header("traceparent", traceparent+"-"))
	f(header("traceparent", strings.ToUpper(traceparent)))
	f(header("traceparent", "ff"+traceparent[2:]))
	f(header("traceparent", "00-"+strings.Repeat("0", 32)+"-b7ad6b7169203331-01"))
	f(header("traceparent", "00-"+someTrace+"-"+strings.Repeat("0", 16)+"-01"))
	f(header("traceparent", strings.Repeat("\x00", 55)))
	f(header("traceparent", strings.Repeat("a", 1<<20)))
	f(header("tracestate", "cpr=0101904321"), header("baggage", "mail=a@b.dk"))
	to := &kgo.Record{}
	kafka.CarryTrace(&kgo.Record{Headers: []kgo.RecordHeader{header("traceparent", traceparent), header("tracestate", "cpr=0101904321"), header("baggage", "mail=a@b.dk")}}, to)
	if len(to.Headers) != 1 {
		t.Errorf("got %v", to.Headers)
	}
}

// untraced is a record as the stages write it, without a trace.
func untraced() *kgo.Record {
	return &kgo.Record{Headers: kafka.Coordinates{}.Headers("application/json")}
}

// A record without a trace costs a look at its headers, and no memory.
func TestNoTraceCostsNoMemory(t *testing.T) {
	from, to := untraced(), untraced()
	if n := testing.AllocsPerRun(100, func() { kafka.CarryTrace(from, to) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCarryTrace(b *testing.B) {
	b.Run("none", func(b *testing.B) {
		from, to := untraced(), untraced()
		for b.Loop() {
			kafka.CarryTrace(from, to)
		}
	})
	b.Run("one", func(b *testing.B) {
		from, to := untraced(), untraced()
		from.Headers = append(from.Headers, header("traceparent", traceparent))
		for b.Loop() {
			kafka.CarryTrace(from, to)
		}
	})
	b.Run("one that is not kept, looked at", func(b *testing.B) {
		from := untraced()
		from.Headers = append(from.Headers, header("traceparent", strings.TrimSuffix(traceparent, "01")+"00"))
		for b.Loop() {
			kafka.TraceDropped(from)
		}
	})
}
