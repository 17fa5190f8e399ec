package gliner2

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vacancies are texts of many lengths, none of them and blank ones among them.
func vacancies(n int) []string {
	words := strings.Fields("Vi søger en erfaren murer til København. Du har svendebrev, kørekort B og godt humør! Opgaverne er tilbygninger, facader og reparation af skorstene")
	texts := []string{"", " ", "."}
	for i := len(texts); i < n; i++ {
		var b strings.Builder
		for j := range (i * 7) % 60 {
			b.WriteString(words[(i*i+j*(i%5+1))%len(words)] + " ")
		}
		texts = append(texts, b.String())
	}
	return texts
}

// nearScores compares entities, and scores within 1e-5.
var nearScores = cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) <= 1e-5 })

// The answer to a text depends neither on the texts beside it nor on its place among them.
func TestBatchesChangeNothing(t *testing.T) {
	texts := vacancies(40)
	for _, mode := range Modes() {
		m := openModel(t, "small", Options{Mode: mode, BatchTokens: 2048, Workers: 3})
		together, err := m.Extract(t.Context(), texts)
		must(t, err)
		classes, err := m.Classify(t.Context(), texts, []string{"a", "b", "c"})
		must(t, err)
		found := 0
		for i, text := range texts {
			alone, err := m.Extract(t.Context(), []string{text})
			must(t, err)
			if diff := cmp.Diff(alone[0], together[i], nearScores); diff != "" {
				t.Errorf("%s: text %d (-alone +together):\n%s", mode, i, diff)
			}
			own, err := m.Classify(t.Context(), []string{text}, []string{"a", "b", "c"})
			must(t, err)
			if diff := cmp.Diff(own[0], classes[i], nearScores); diff != "" {
				t.Errorf("%s: classes of text %d (-alone +together):\n%s", mode, i, diff)
			}
			found += len(alone[0])
		}
		if found < 50 {
			t.Errorf("%s: only %d entities were compared", mode, found)
		}
	}
}

func TestBatchesAreBounded(t *testing.T) {
	m := openModel(t, "tiny", Options{BatchTokens: 300})
	_, rows, err := m.readAll(t.Context(), m.prompt, vacancies(50))
	must(t, err)
	seen := map[*row]bool{}
	several := false
	for _, batch := range m.batches(rows) {
		for _, r := range batch {
			if seen[r] || len(r.ids) > len(batch[0].ids) {
				t.Errorf("a row is there twice, or is not the shortest")
			}
			seen[r] = true
		}
		if len(batch) > 1 && len(batch)*len(batch[0].ids) > 300 {
			t.Errorf("a batch has %d × %d tokens", len(batch), len(batch[0].ids))
		}
		several = several || len(batch) > 1
	}
	if len(seen) != len(rows) || !several {
		t.Errorf("%d of %d rows are in batches", len(seen), len(rows))
	}
}

// Calls at once share the runs that may overlap, and each gets its own answers.
func TestCallsAtOnce(t *testing.T) {
	m := openModel(t, "tiny", Options{Workers: 2})
	texts := vacancies(30)
	want, err := m.Extract(t.Context(), texts)
	must(t, err)
	var calls sync.WaitGroup
	for c := range 6 {
		calls.Go(func() {
			from := c * 4
			got, err := m.Extract(t.Context(), texts[from:])
			if err != nil {
				t.Error(err)
			} else if diff := cmp.Diff(want[from:], got, nearScores); diff != "" {
				t.Errorf("call %d (-want +got):\n%s", c, diff)
			}
		})
	}
	calls.Wait()
}

func TestCancelledContext(t *testing.T) {
	m := openModel(t, "tiny", Options{Workers: 1, BatchTokens: 1, MaxWords: -1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Extract(ctx, []string{"Murer"}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "extracting from 1 texts") {
		t.Errorf("with a context that has ended: %v", err)
	}
	if _, err := m.Classify(ctx, []string{"Murer"}, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}

	// The context ends while others wait for their run.
	ctx, cancel = context.WithCancel(t.Context())
	texts := make([]string, 200)
	for i := range texts {
		texts[i] = strings.Repeat(fmt.Sprintf("murer%d ", i), 1000)
	}
	done := make(chan error)
	go func() {
		_, err := m.Extract(ctx, texts)
		done <- err
	}()
	m.slots <- struct{}{} // is free between runs: one has been, or none has begun
	cancel()
	<-m.slots
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended meanwhile: %v", err)
	}
	if _, err := m.Extract(t.Context(), []string{"Murer"}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestClosed(t *testing.T) {
	dir := copyModel(t, "tiny")
	describe(t, dir)
	m, err := Open(Options{Dir: dir})
	must(t, err)
	must(t, m.Close())
	must(t, m.Close())
	if _, err := m.Extract(t.Context(), []string{"a"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Extract after Close: %v", err)
	}
	if _, err := m.Classify(t.Context(), []string{"a"}, []string{"b"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Classify after Close: %v", err)
	}
}

func TestClassifyFailure(t *testing.T) {
	m := openModel(t, "tiny", Options{})
	f := func(want string, labels ...string) {
		t.Helper()
		if _, err := m.Classify(t.Context(), []string{"Murer"}, labels); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("classifying by %q: %v, want %q", labels, err, want)
		}
	}
	f("there are no labels")
	f("label 2: the name is empty", "a", " ")
	f("label 2: the name (\"a\") is another label's", "a", "a")
	f("must not hold a token of the prompt", "a [L] b")
}
