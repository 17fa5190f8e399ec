package chaos

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// A plan names only processes that are there, has all the kills it should, and is the seed's own.
func TestPlan(t *testing.T) {
	for seed := range uint64(50) {
		for _, brokers := range []int{1, 3} {
			const kills, over = 40, time.Minute
			plan := Plan(seed, kills, over, brokers)
			if !reflect.DeepEqual(plan, Plan(seed, kills, over, brokers)) {
				t.Fatalf("seed %d gives two plans", seed)
			}
			if reflect.DeepEqual(plan, Plan(seed+1, kills, over, brokers)) {
				t.Fatalf("seeds %d and %d give the same plan", seed, seed+1)
			}
			there := map[string]bool{"sink": true, "clickhouse": true, "extract/0": true, "extract/1": true, "embed/0": true, "embed/1": true, "classify/0": true, "classify/1": true}
			for _, broker := range []string{"broker/0", "broker/1", "broker/2"} {
				there[broker] = brokers == 3
			}
			count, killed, last := map[Kind]int{}, 0, time.Duration(0)
			for _, f := range plan {
				if f.At < last || f.At >= over {
					t.Fatalf("seed %d: %v comes after %v", seed, f, last)
				}
				last = f.At
				if there[f.Target] == (f.Kind == AddWorker) {
					t.Fatalf("seed %d: %v has no target in %v", seed, f, there)
				}
				there[f.Target] = f.Kind != RemoveWorker
				if count[f.Kind]++; f.Kind.isKill() {
					killed++
				}
			}
			if killed != kills {
				t.Fatalf("seed %d: %d kills, want %d", seed, killed, kills)
			}
			for _, k := range []Kind{KillWorker, KillSink, KillEngine, PauseWorker, AddWorker} {
				if count[k] == 0 {
					t.Fatalf("seed %d has no %s", seed, k)
				}
			}
			if (count[KillBroker] > 0) != (brokers == 3) {
				t.Fatalf("seed %d kills a broker %d times of %d brokers", seed, count[KillBroker], brokers)
			}
			for _, stage := range stages {
				n := 0
				for slot := range 20 {
					if there[stage+"/"+string(rune('0'+slot))] {
						n++
					}
				}
				if n < 1 || n > mostSlots {
					t.Fatalf("seed %d leaves %d processes of %s", seed, n, stage)
				}
			}
		}
	}
}

// What is meant to be refused has to be so, and the rest must not, or the check would compare nothing.
func TestVacancies(t *testing.T) {
	titles, refusal := titles(), refusals(t)
	ids := map[string]bool{}
	for n := range 400 {
		id, value := vacancy(n, titles)
		again, same := vacancy(n, titles)
		if id != again || !slices.Equal(value, same) || value == nil {
			t.Fatalf("vacancy %d is two: %q, %q", n, value, same)
		}
		ids[id] = true
		if refused := refusal(value); (refused != nil) != isBad(id) {
			t.Fatalf("vacancy %d, %q: refused because %v", n, value, refused)
		}
	}
	if len(ids) != 400 {
		t.Fatalf("%d ids of 400 vacancies", len(ids))
	}
}
