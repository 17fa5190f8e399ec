package consumers

import (
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
)

// Spans of the figures.
const (
	feedMinutes   = 60
	feedSeconds   = 60   // over which the rate is
	feedLatencies = 1000 // vacancies that the quantiles are of
)

// FeedStats are a flow's figures of the last hour, by when events arrived here.
type FeedStats struct {
	// Since is when this process began to look; Total and Refused count from then on.
	Since          time.Time
	Total, Refused uint64
	// Rate is vacancies classified a second, over the last minute, or since Since where that is less.
	Rate float64
	// P50 and P99 are the seconds from publication to classification that such a share of the last 1,000 vacancies took at most; 0 of none.
	P50, P99 float64
	// Minutes are the last 60, the newest last; the newest is not over yet.
	Minutes []FeedMinute
	// Connected says that brokers answer.
	Connected bool
}

// FeedMinute counts what arrived in one minute.
type FeedMinute struct {
	Minute              time.Time
	Classified, Refused uint64
	// Categories are counted in index order.
	Categories []uint64
}

// figures count events.
type figures struct {
	since          time.Time
	total, refused uint64
	categories     int
	minutes        [feedMinutes]FeedMinute // by minute modulo 60; an entry of another minute is old
	seconds        [feedSeconds]secondCount
	latencies      []float64 // the last, in a ring
	next           int       // where the next latency goes once it is full
}

type secondCount struct {
	second     int64
	classified uint64
}

func newFigures(categories int, now time.Time) *figures {
	return &figures{since: now, categories: categories}
}

func minuteOf(t time.Time) time.Time { return t.UTC().Truncate(time.Minute) }

// slot is the place of a minute in the ring.
func slot(minute time.Time) int { return int(minute.Unix() / 60 % feedMinutes) }

func (f *figures) add(e FeedEvent, now time.Time) {
	minute := minuteOf(now)
	m := &f.minutes[slot(minute)]
	if !m.Minute.Equal(minute) {
		*m = FeedMinute{Minute: minute, Categories: make([]uint64, f.categories)}
	}
	if e.Kind == KindRefused {
		f.refused++
		m.Refused++
		return
	}
	f.total++
	m.Classified++
	if e.CategoryIndex < len(m.Categories) { // another taxonomy may have more
		m.Categories[e.CategoryIndex]++
	}
	s := &f.seconds[now.Unix()%feedSeconds]
	if s.second != now.Unix() {
		*s = secondCount{second: now.Unix()}
	}
	s.classified++
	if len(f.latencies) < feedLatencies {
		f.latencies = append(f.latencies, e.Seconds)
	} else {
		f.latencies[f.next] = e.Seconds
		f.next = (f.next + 1) % feedLatencies
	}
}

func (f *figures) stats(now time.Time) FeedStats {
	s := FeedStats{Since: f.since, Total: f.total, Refused: f.refused, Minutes: make([]FeedMinute, 0, feedMinutes)}
	last := minuteOf(now)
	for i := feedMinutes - 1; i >= 0; i-- {
		minute := last.Add(-time.Duration(i) * time.Minute)
		m := f.minutes[slot(minute)]
		if !m.Minute.Equal(minute) {
			m = FeedMinute{Minute: minute, Categories: make([]uint64, f.categories)}
		}
		m.Categories = slices.Clone(m.Categories)
		s.Minutes = append(s.Minutes, m)
	}
	classified := uint64(0)
	for _, second := range f.seconds {
		if second.second > now.Unix()-feedSeconds {
			classified += second.classified
		}
	}
	s.Rate = float64(classified) / min(feedSeconds, max(1, now.Sub(f.since).Seconds()))
	sorted := slices.Sorted(slices.Values(f.latencies))
	if len(sorted) > 0 {
		s.P50, s.P99 = stat.Quantile(.5, stat.Empirical, sorted, nil), stat.Quantile(.99, stat.Empirical, sorted, nil)
	}
	return s
}
