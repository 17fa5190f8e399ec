package embed

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rowsOf makes rows of these lengths.
func rowsOf(lengths ...int) []row {
	rows := make([]row, len(lengths))
	for i, n := range lengths {
		rows[i] = row{index: i, ids: make([]uint32, n)}
	}
	return rows
}

func TestQueueJoinsRowsOfLikeLength(t *testing.T) {
	f := func(maxTokens, maxRows int, calls [][]int, want ...[]int) {
		t.Helper()
		q := newQueue(maxTokens, maxRows)
		for _, lengths := range calls {
			q.put(rowsOf(lengths...), nil)
		}
		q.end()
		var got [][]int
		for batch := q.take(); batch != nil; batch = q.take() {
			var lengths []int
			for _, r := range batch {
				lengths = append(lengths, len(r.ids))
			}
			got = append(got, lengths)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("calls %v, at most %d tokens and %d rows (-want +got):\n%s", calls, maxTokens, maxRows, diff)
		}
	}
	f(8, 8, nil)
	f(8, 8, [][]int{{}})
	f(8, 8, [][]int{{3}}, []int{3})
	f(8, 8, [][]int{{3, 9, 3, 4}}, []int{9}, []int{4, 3}, []int{3})
	f(8, 8, [][]int{{2, 2, 2, 2, 2}}, []int{2, 2, 2, 2}, []int{2})
	f(8, 2, [][]int{{1, 1, 1, 1, 1}}, []int{1, 1}, []int{1, 1}, []int{1})
	// Too much padding: a sub-batch of its own costs less.
	f(100, 8, [][]int{{20, 20 - spare, 19 - spare}}, []int{20, 20 - spare}, []int{19 - spare})
	// The small call goes first, and what is as long as its row with it.
	f(24, 8, [][]int{{12, 12, 11, 4}, {11}}, []int{11, 11}, []int{12, 12}, []int{4})
}

func TestQueueGivesEachRowOnce(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		q := newQueue(64, 6)
		var workers, callers sync.WaitGroup
		for range 3 {
			workers.Go(func() {
				for batch := q.take(); batch != nil; batch = q.take() {
					longest := len(batch[0].ids)
					if n := len(batch); n > 6 || n > 1 && n*longest > 64 {
						t.Errorf("seed %d: %d rows of %d tokens in a sub-batch", seed, n, longest)
					}
					for _, r := range batch {
						if len(r.ids) > longest || len(r.ids) < longest-spare {
							t.Errorf("seed %d: %d tokens beside %d", seed, len(r.ids), longest)
						}
						r.call.vectors[r.index].Tokens += len(r.ids)
					}
					q.finish(batch, nil)
				}
			})
		}
		for range 8 {
			lengths := make([]int, 1+random.IntN(40))
			for i := range lengths {
				lengths[i] = 1 + random.IntN(80)
			}
			callers.Go(func() {
				vectors := make([]Vector, len(lengths))
				c := q.put(rowsOf(lengths...), vectors)
				<-c.done
				for i, n := range lengths {
					if vectors[i].Tokens != n || c.err != nil {
						t.Errorf("seed %d: row %d of %d tokens got %d, error %v", seed, i, n, vectors[i].Tokens, c.err)
					}
				}
			})
		}
		callers.Wait()
		q.end()
		workers.Wait()
	}
}

func TestQueueTellsOfFailuresAndForgetsTheGone(t *testing.T) {
	q := newQueue(10, 4)
	broken, whole, gone := q.put(rowsOf(5, 5, 3), nil), q.put(rowsOf(5), nil), q.put(rowsOf(5, 5), nil)
	q.drop(gone)
	boom := errors.New("boom")
	batch := q.take() // of the small call and the first
	if len(batch) != 2 || batch[0].call != whole || batch[1].call != broken {
		t.Fatalf("the first sub-batch is %v", batch)
	}
	q.finish(batch[:1], nil)
	q.finish(batch[1:], boom)
	<-whole.done
	<-broken.done
	if whole.err != nil || !errors.Is(broken.err, boom) {
		t.Errorf("errors %v and %v", whole.err, broken.err)
	}
	q.end()
	if rest := q.take(); rest != nil {
		t.Errorf("after a failure and a call that is gone %v waits", rest)
	}
}
