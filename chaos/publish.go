package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// Every badEvery-th vacancy must be refused.
const badEvery = 50

// Every pastEvery-th vacancy of a publisher with a past was published in one of so many hours before, all others long ago: published now, they would all come into the watch's window when an
// hour is over, and its memory with them.
const (
	pastEvery = 20
	pastHours = 6
	longAgo   = 40 * 24 * time.Hour
)

// publishedAt says when vacancy number n was published.
func publishedAt(n int, start time.Time) time.Time {
	if n%pastEvery != 0 {
		return start.Add(-longAgo)
	}
	return start.Add(-time.Duration(n/pastEvery%pastHours+1) * time.Hour)
}

const idPrefix = "chaos-"

// vacancy returns the id and the value of vacancy number n, the same every time.
func vacancy(n int, titles []string) (id string, value []byte) {
	id = fmt.Sprintf("%s%07d", idPrefix, n)
	if isBad(id) {
		switch n / badEvery % 4 {
		case 0:
			return id, fmt.Appendf(nil, `{"id":%q,"text":`, id) // cut off
		case 1:
			return id, []byte{} // empty, which is not null: null is an erasure
		case 2:
			return id, fmt.Appendf(nil, `{"id":%q,"text":"  "}`, id)
		}
		return id, fmt.Appendf(nil, `{"id":%q,"text":"Hej."}`, id) // nothing to extract
	}
	title, text := advertisement(n, titles)
	return id, fmt.Appendf(nil, `{"id":%q,"title":%q,"text":%q}`, id, title, text)
}

// advertisement returns the title and the text of number n, which can be classified.
func advertisement(n int, titles []string) (title, text string) {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	title = titles[random.IntN(len(titles))]
	var b strings.Builder
	fmt.Fprintf(&b, "Vi søger en %s til afdeling %d.", title, n)
	for range random.IntN(8) {
		other := titles[random.IntN(len(titles))]
		fmt.Fprintf(&b, " Du skal løse opgaver sammen med vores %s, planlægge dagen og følge op på kvaliteten.", other)
	}
	return title, b.String()
}

// isBad says of an id of ours that its vacancy must be refused.
func isBad(id string) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(id, idPrefix))
	return err == nil && n%badEvery == badEvery/2
}

// titles of jobs, for the texts.
func titles() []string {
	var all []string
	for _, c := range schemas.Jobnet().Categories {
		all = append(all, c.Titles...)
	}
	return all
}

// publisher writes numbered vacancies and keeps what Kafka acknowledges.
type publisher struct {
	sent, failed atomic.Int64
	// past has all vacancies say when they were published, so that the windows that the watch for drift compares hold as much all the time. Otherwise none says when.
	past bool

	mu           sync.Mutex // guards acknowledged
	acknowledged map[Place]string
}

// publish writes n vacancies at a steady rate, each second so many, or fewer when over is closed before. It returns when Kafka has answered for all of them, or ctx ends.
func (p *publisher) publish(ctx context.Context, o kafka.Options, n int, rate float64, over <-chan struct{}) error {
	p.mu.Lock()
	p.acknowledged = map[Place]string{}
	p.mu.Unlock()
	client, err := kafka.NewClient(o, kgo.ProducerLinger(0))
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	defer client.Close()
	titles := titles()
	start := time.Now()
sending:
	for i := range n {
		due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			break sending
		case <-time.After(time.Until(due)):
		}
		id, value := vacancy(i, titles)
		if p.past && !isBad(id) {
			value = fmt.Appendf(nil, `{"published_at":%q,%s`, publishedAt(i, start).UTC().Format(time.RFC3339), value[1:])
		}
		r := &kgo.Record{Topic: kafka.Raw, Key: []byte(id), Value: value, Headers: []kgo.RecordHeader{{Key: kafka.ContentType, Value: []byte(schemas.JSON)}}}
		p.sent.Add(1)
		client.Produce(ctx, r, func(r *kgo.Record, err error) {
			if err != nil {
				p.failed.Add(1)
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.acknowledged[Place{r.Partition, r.Offset}] = id
		})
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("publishing: waiting for acknowledgements: %w", err)
	}
	return nil
}

// acknowledgements says how many there are so far.
func (p *publisher) acknowledgements() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acknowledged)
}
