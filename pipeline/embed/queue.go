package embed

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	// patience is how long a text may wait for those of smaller calls, for each text of its own call: a person's single vacancy does not stand
	// behind a stage's 64, and no stream of single ones holds those up for long.
	patience = 10 * time.Millisecond
	// spare is how many tokens of padding cost about what a sub-batch of its own costs a row. Measured with the default encoder: 2 without VNNI, 11 with it.
	spare = 4
)

// queue holds the rows that wait for a worker, those of all calls of Embed together. No row waits for others to come: what is there when a worker
// is free is what it may choose from.
type queue struct {
	maxTokens, maxRows int

	mu    sync.Mutex
	more  *sync.Cond
	calls []*call // that have rows here, the one that is due first first
	ended bool
}

// call is a call of Embed on its way through the queue.
type call struct {
	due     time.Time
	rows    []row // that wait, the longest first
	vectors []Vector
	// left counts the rows that have no vector yet; err is why one of them gets none.
	left int
	err  error
	done chan struct{} // closed when none is left, or one failed
	// put and taken are when the call came and its first row was taken.
	put, taken time.Time
}

func newQueue(maxTokens, maxRows int) *queue {
	q := &queue{maxTokens: maxTokens, maxRows: maxRows}
	q.more = sync.NewCond(&q.mu)
	return q
}

// put adds the rows of a call; vectors is where theirs belong.
func (q *queue) put(rows []row, vectors []Vector) *call {
	now := time.Now()
	c := &call{put: now, due: now.Add(time.Duration(len(rows)) * patience), rows: rows, vectors: vectors, left: len(rows), done: make(chan struct{})}
	if len(rows) == 0 {
		close(c.done)
		return c
	}
	for i := range rows {
		rows[i].call = c
	}
	slices.SortStableFunc(rows, func(a, b row) int { return len(b.ids) - len(a.ids) })
	q.mu.Lock()
	defer q.mu.Unlock()
	at, _ := slices.BinarySearchFunc(q.calls, c.due, func(other *call, due time.Time) int {
		if other.due.After(due) {
			return 1
		}
		return -1
	})
	q.calls = slices.Insert(q.calls, at, c)
	q.more.Broadcast()
	return c
}

// take waits for rows and returns a sub-batch, the longest row first: the longest of the call that is due first, and with it rows, of its call before
// others', that are as long or little shorter. Its rows × its longest row are at most maxTokens, unless it is one row. It returns nil after end.
func (q *queue) take() []row {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.calls) == 0 {
		if q.ended {
			return nil
		}
		q.more.Wait()
	}
	longest := len(q.calls[0].rows[0].ids)
	room := min(max(q.maxTokens/longest, 1), q.maxRows)
	batch := make([]row, 0, room)
	for _, c := range q.calls {
		if len(batch) == room {
			break
		}
		from, _ := slices.BinarySearchFunc(c.rows, longest, shorterLast)
		to, _ := slices.BinarySearchFunc(c.rows, longest-spare-1, shorterLast)
		to = min(to, from+room-len(batch))
		if c.taken.IsZero() && to > from {
			c.taken = time.Now()
		}
		batch = append(batch, c.rows[from:to]...)
		if from == 0 {
			c.rows = c.rows[to:]
		} else {
			c.rows = slices.Delete(c.rows, from, to)
		}
	}
	q.calls = slices.DeleteFunc(q.calls, func(c *call) bool { return len(c.rows) == 0 })
	return batch
}

// trace makes the span of the time in which a call waited, in the trace that ctx is in. The call is done.
func (c *call) trace(ctx context.Context) {
	if within := trace.SpanFromContext(ctx); within.IsRecording() && !c.taken.IsZero() {
		_, span := within.TracerProvider().Tracer("jobstrom/pipeline").Start(ctx, "queue", trace.WithTimestamp(c.put))
		span.End(trace.WithTimestamp(c.taken))
	}
}

// shorterLast compares a row with a length, in the order of a call's rows.
func shorterLast(r row, length int) int { return length - len(r.ids) }

// finish says that a sub-batch has its vectors, or why it has none.
func (q *queue) finish(batch []row, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range batch {
		c := r.call
		if c.err != nil {
			continue
		}
		if c.left--; err != nil {
			c.err = err
			q.remove(c)
		}
		if c.err != nil || c.left == 0 {
			close(c.done)
		}
	}
}

// drop takes out what waits of a call that nobody waits for any more. What is being computed goes on.
func (q *queue) drop(c *call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(c)
}

func (q *queue) remove(c *call) {
	q.calls = slices.DeleteFunc(q.calls, func(other *call) bool { return other == c })
}

// end lets workers go when nothing waits any more.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.more.Broadcast()
}
