package health_test

import (
	"strings"
	"testing"
	"time"

	"jobstrom/health"
)

func TestBoard(t *testing.T) {
	var b health.Board
	worker := health.Place{Part: "worker", Stage: "embed", Worker: "0.1"}
	partition := health.Place{Part: "partition", Stage: "embed", Topic: "vacancies.extracted", Partition: 3}
	count := func(n int) []health.Problem {
		t.Helper()
		got := b.Problems()
		if len(got) != n {
			t.Fatalf("%d problems, want %d: %v", len(got), n, got)
		}
		return got
	}
	b.Report(health.Problem{Place: worker, Reason: "away"}, time.Hour)
	count(0) // it has not lasted for an hour
	b.Report(health.Problem{Place: worker, Reason: "away"}, 0)
	first := count(1)[0].Since
	b.Report(health.Problem{Place: worker, Reason: "still away", Remedy: "start it"}, 0)
	if got := count(1)[0]; !got.Since.Equal(first) || got.Reason != "still away" {
		t.Fatalf("got %v, want the first report's time and the last one's reason", got)
	}
	b.Report(health.Problem{Place: partition, Since: time.Now().Add(-time.Minute), Reason: "87 records are unread", Remedy: "start a worker"}, 30*time.Second)
	text := count(2)[0].String()
	for _, part := range []string{"embed partition 3 of vacancies.extracted", "since", "87 records are unread", "start a worker"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
	b.ClearStage("extract")
	count(2)
	b.ClearStage("embed")
	count(1)
	b.Clear(partition)
	count(0)
	b.Report(health.Problem{Place: worker}, 0)
	if got := count(1)[0]; !got.Since.After(first) {
		t.Fatal("a problem that comes back begins anew")
	}
	var none *health.Board
	none.Report(health.Problem{Place: worker}, 0)
	none.Clear(worker)
	none.ClearStage("embed")
	if none.Problems() != nil {
		t.Fatal("no board has problems")
	}
}
