package registry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/schemas"
)

var scope = Scope{"t1", "e1"}

// contents reads the registry and checks that it is whole: aliases name models that are there, and the history leads to them.
func contents(t *testing.T, o kafka.Options) *Contents {
	t.Helper()
	c, err := Read(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Unreadable) > 0 {
		t.Errorf("unreadable: %v", c.Unreadable)
	}
	champions, held, last := map[Scope]string{}, map[string]bool{}, time.Time{}
	for i, e := range c.History {
		s := Scope{e.Taxonomy, e.Encoder}
		switch e.Action {
		case Registered:
			held[e.Model] = true
			if e.Classifier.GetId() != e.Model || len(e.Classifier.Weights) > 0 {
				t.Errorf("event %d registers %v", i, e.Classifier)
			}
		case Retired:
			delete(held, e.Model)
		case Promoted, RolledBack:
			if e.Previous != champions[s] {
				t.Errorf("event %d takes the place of %.12q, the champion was %.12q", i, e.Previous, champions[s])
			}
			champions[s] = e.Model
		}
		if at := e.At.AsTime(); at.Before(last) {
			t.Errorf("event %d was at %v, the one before at %v", i, at, last)
		} else {
			last = at
		}
	}
	for s, id := range c.Champions {
		if c.Models[id] == nil || champions[s] != id {
			t.Errorf("champion %.12s is held: %t; by the history it is %.12s", id, c.Models[id] != nil, champions[s])
		}
	}
	if len(champions) != len(c.Champions) || len(held) != len(c.Models) {
		t.Errorf("by the history there are %d champions and %d models, by the aliases %d and %d", len(champions), len(held), len(c.Champions), len(c.Models))
	}
	for _, ids := range c.Challengers {
		for _, id := range ids {
			if c.Models[id] == nil {
				t.Errorf("challenger %.12s is not held", id)
			}
		}
	}
	return c
}

// told renders the history of a scope: an action and the name of its model each.
func told(c *Contents, names map[string]string) string {
	var b strings.Builder
	for _, e := range c.History {
		fmt.Fprintf(&b, " %s %s", e.Action, names[e.Model])
		if e.Previous != "" {
			fmt.Fprintf(&b, "<%s", names[e.Previous])
		}
	}
	return b.String()[1:]
}

func TestWriter(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		w := Writer{Kafka: o, Version: "1.0"}
		builtIn, a, b, d := classifier(t, 0), classifier(t, 1), classifier(t, 2), classifier(t, 3)
		names := map[string]string{builtIn.Id: "built-in", a.Id: "a", b.Id: "b", d.Id: "d"}
		ctx := t.Context()
		did := func(action string) func(*schemas.ModelEvent, error) {
			return func(e *schemas.ModelEvent, err error) {
				t.Helper()
				if err != nil || e.GetAction() != action {
					t.Fatalf("got %v, %v; want %s", e, err, action)
				}
			}
		}
		failed := func(want error, words string) func(*schemas.ModelEvent, error) {
			return func(e *schemas.ModelEvent, err error) {
				t.Helper()
				if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
					t.Fatalf("got %v, %v; want an error with %q", e, err, words)
				}
			}
		}
		none, champion := "", a.Id
		failed(ErrNoFormer, "no earlier champion")(w.Rollback(ctx, scope, nil, ""))
		did(Promoted)(w.Promote(ctx, Promotion{Classifier: a, Expect: &none, BuiltIns: []*schemas.Classifier{builtIn}, Reason: "better"}))
		did("")(w.Promote(ctx, Promotion{Classifier: a})) // it is champion already
		did(Challenged)(w.Challenge(ctx, b, ""))
		did("")(w.Challenge(ctx, b, ""))
		did(Challenged)(w.Challenge(ctx, d, ""))
		failed(ErrInUse, "it is the champion")(w.Challenge(ctx, a, ""))
		failed(ErrInUse, "it is a challenger")(w.Retire(ctx, d, ""))
		if c := contents(t, o); c.Alias(a) != Champion || c.Alias(b) != Challenger || c.Alias(builtIn) != "" || fmt.Sprint(c.Challengers[scope]) != fmt.Sprint([]string{b.Id, d.Id}) {
			t.Fatalf("champion %v, challengers %v", c.Champions, c.Challengers)
		}
		did(Withdrawn)(w.Withdraw(ctx, d, ""))
		did("")(w.Withdraw(ctx, d, ""))
		failed(ErrChampionChanged, fmt.Sprintf("(expected none, it is %.12s)", a.Id))(w.Promote(ctx, Promotion{Classifier: b, Expect: &none}))
		did(Promoted)(w.Promote(ctx, Promotion{Classifier: b, Expect: &champion}))
		did(Promoted)(w.Promote(ctx, Promotion{Classifier: d}))
		failed(ErrChampionChanged, "decide anew")(w.Rollback(ctx, scope, &champion, ""))
		did(RolledBack)(w.Rollback(ctx, scope, nil, "worse than it looked"))
		did(Retired)(w.Retire(ctx, d, "never again"))
		failed(ErrUnknown, "no such classifier")(w.Retire(ctx, d, ""))
		did(Retired)(w.Retire(ctx, a, ""))
		did(RolledBack)(w.Rollback(ctx, scope, nil, "")) // past a, which is retired
		failed(ErrNoFormer, "promote another model")(w.Rollback(ctx, scope, nil, ""))
		failed(ErrInUse, "it is a champion")(w.Retire(ctx, builtIn, ""))

		c := contents(t, o)
		want := "register built-in promote built-in register a promote a<built-in register b challenge b register d challenge d withdraw d promote b<a promote d<b " +
			"rollback b<d retire d retire a rollback built-in<b"
		if got := told(c, names); got != want {
			t.Errorf("history:\n got %s\nwant %s", got, want)
		}
		if c.Champions[scope] != builtIn.Id || len(c.Challengers[scope]) != 0 || len(c.Models) != 2 {
			t.Errorf("champion %v, challengers %v, %d models", c.Champions, c.Challengers, len(c.Models))
		}
		if e := c.History[11]; e.Reason != "worse than it looked" || e.Version != "1.0" {
			t.Errorf("the history says %v", e)
		}
		for i := range MaxChallengers + 2 {
			did(Challenged)(w.Challenge(ctx, classifier(t, float32(100+i)), ""))
		}
		if got := contents(t, o).Challengers[scope]; len(got) != MaxChallengers || got[0] != classifier(t, 102).Id || got[MaxChallengers-1] != classifier(t, 106).Id {
			t.Errorf("%d challengers: %v", len(got), got)
		}
		if got, err := c.Find(b.Id[:8]); err != nil || got.Id != b.Id {
			t.Errorf("found %v, %v", got.GetId(), err)
		}
		if _, err := c.Find("x"); !errors.Is(err, ErrUnknown) {
			t.Errorf("got %v", err)
		}
		if _, err := c.Find(""); !errors.Is(err, ErrUnknown) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFindTellsWhatIsAmbiguous(t *testing.T) {
	c := &Contents{Models: map[string]*schemas.Classifier{"aa1": {Id: "aa1"}, "aa2": {Id: "aa2"}, "b": {Id: "b"}}}
	if _, err := c.Find("aa"); !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), "aa1, aa2") {
		t.Errorf("got %v", err)
	}
	if got, err := c.Find("AA2"); err != nil || got.Id != "aa2" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestFind(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		f := func(id, want string, unknown bool) {
			t.Helper()
			c, err := Find(t.Context(), o, scope, id)
			if errors.Is(err, ErrUnknown) != unknown || (err == nil) != (want != "") || c.GetId() != want {
				t.Errorf("%.12s: got %.12s, %v; want %.12s", id, c.GetId(), err, want)
			}
		}
		f("", "", true)
		first, second := classifier(t, 1), classifier(t, 2)
		for _, c := range []*schemas.Classifier{first, second} {
			if err := promote(t.Context(), o, c); err != nil {
				t.Fatal(err)
			}
		}
		f("", second.Id, false)
		f(first.Id, first.Id, false)
		f(first.Id[:10], first.Id, false)
		f("nonsense", "", true)
	})
}

// Of promoters that decided on the same champion one wins; the others are told that it has changed. Those that decided on nothing all get through.
func TestConcurrentPromoters(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		// On a busy machine the others may come between as often as a change is tried; then it is begun again.
		promote := func(p Promotion) error {
			for {
				if _, err := (Writer{Kafka: o}).Promote(t.Context(), p); !errors.Is(err, errFenced) {
					return err
				}
			}
		}
		bias := float32(0)
		for round := range 3 {
			champion := contents(t, o).Champions[scope]
			var group sync.WaitGroup
			results := make(chan error, 3)
			for range cap(results) {
				bias++
				c := classifier(t, bias)
				group.Go(func() {
					results <- promote(Promotion{Classifier: c, Expect: &champion})
				})
			}
			group.Wait()
			close(results)
			won := 0
			for err := range results {
				if err == nil {
					won++
				} else if !errors.Is(err, ErrChampionChanged) {
					t.Errorf("round %d: a loser is told %v", round, err)
				}
			}
			if won != 1 {
				t.Errorf("round %d: %d promoters won", round, won)
			}
		}
		var group sync.WaitGroup
		for range 2 {
			bias++
			c := classifier(t, bias)
			group.Go(func() {
				if err := promote(Promotion{Classifier: c}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		promotions := 0
		for _, e := range contents(t, o).History {
			if e.Action == Promoted {
				promotions++
			}
		}
		if promotions != 5 {
			t.Errorf("%d promotions, want 5", promotions)
		}
	})
}

// promoterEnv makes the test binary a promoter at these brokers.
const promoterEnv = "JOBSTROM_TEST_PROMOTER"

// promoteForEver promotes one classifier after the other, and says so.
func promoteForEver(o kafka.Options) {
	for {
		c := &schemas.Classifier{
			Encoder: "e1", Taxonomy: "t1", Dim: 2, Categories: 2, Weights: []float32{1, 0, 0, 1}, Bias: []float32{rand.Float32(), 0}, Temperature: 1,
		}
		if err := models.SealClassifier(c); err != nil {
			panic(err)
		}
		fmt.Println("promoting")
		if err := promote(context.Background(), o, c); err != nil {
			panic(err)
		}
	}
}

// A promoter that is killed at any moment leaves the registry as it was or with the whole of the new model, and holds up nobody.
func TestKilledPromoterLeavesNothingHalf(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		if err := promote(t.Context(), o, classifier(t, 9)); err != nil {
			t.Fatal(err)
		}
		refused, done := make(chan error, 1), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(done)
			_ = Watch(ctx, WatchOptions{Kafka: o, Taxonomy: "t1", Encoder: "e1", Ready: func() {}, Logger: refusals(refused), Champion: func(*schemas.Classifier) error { return nil }})
		}()
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			child := exec.Command(self)
			child.Env, child.Stderr = append(os.Environ(), promoterEnv+"="+strings.Join(o.Brokers, ",")), os.Stderr
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for began := 0; began < 2 && lines.Scan(); began++ { // one promotion is through, the next has begun
			}
			<-time.After(time.Duration(rand.Int64N(int64(60 * time.Millisecond)))) // the moment of the kill, not a wait for anything
			_ = child.Process.Kill()
			_ = child.Wait()
			contents(t, o)
		}
		before := len(contents(t, o).History)
		if err := promote(t.Context(), o, classifier(t, 8)); err != nil {
			t.Fatal(err)
		}
		if c := contents(t, o); c.Champions[scope] != classifier(t, 8).Id || len(c.History) < before+2 || before < 12 {
			t.Errorf("champion %.12s, history of %d after %d", c.Champions[scope], len(c.History), before)
		}
		cancel()
		<-done
		select {
		case err := <-refused:
			t.Errorf("the watcher refused a champion: %v", err)
		default:
		}
	})
}
