package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits of a soak, beside those of the check.
const (
	// warmUp is how long a process may grow after its start: caches fill, a JVM and ClickHouse touch the memory that they were given.
	warmUp = 3 * time.Minute
	// leastJudged is the least time after its warm-up over which a process is judged.
	leastJudged = time.Minute
	// A stage's lag is back when it is at most what comes in lagSeconds, for lagSamples in a row.
	lagSeconds = 10
	lagSamples = 5
	// backWithin is how long that may take after the part is ready again.
	backWithin = time.Minute
)

// Memory is what is said of a part's last process.
type Memory struct {
	Part       string
	RSS        Trend
	Goroutines Trend
	// Judged is false where the process did not live long enough after its warm-up.
	Judged bool
}

// Soak is what is said of a run beside the check.
type Soak struct {
	Memory []Memory
	// MostLag is the highest lag of each stage, and EndLag the last one.
	MostLag, EndLag map[string]int
	// LagTrend is each stage's after the last step, in records an hour.
	LagTrend map[string]Trend
	// Back is how long after each step's beginning the lag of all stages was back, once the part was ready.
	Back []time.Duration
	// Findings say what is not as it should be.
	Findings []string
}

// Judge says of a run's samples whether memory and lag are flat. Rate is that of all vacancies, a second.
func Judge(samples []Sample, done []Done, rate float64) Soak {
	s := Soak{MostLag: map[string]int{}, EndLag: map[string]int{}, LagTrend: map[string]Trend{}}
	s.judgeMemory(samples)
	s.judgeLag(samples, done, rate)
	return s
}

func (s *Soak) find(format string, args ...any) {
	s.Findings = append(s.Findings, fmt.Sprintf(format, args...))
}

// judgeMemory looks at the process that each part had last.
func (s *Soak) judgeMemory(samples []Sample) {
	if len(samples) == 0 {
		s.find("nothing was measured")
		return
	}
	parts := map[string]bool{}
	for _, sample := range samples {
		for part := range sample.Parts {
			parts[part] = true
		}
	}
	for _, part := range slices.SortedFunc(maps.Keys(parts), comparePart) {
		var pid int
		var born time.Duration
		var rss, routines []Point
		for _, sample := range samples {
			u, there := sample.Parts[part]
			if !there {
				continue
			}
			if u.PID != pid {
				pid, born, rss, routines = u.PID, sample.At, nil, nil
			}
			if sample.At < born+warmUp {
				continue
			}
			rss = append(rss, Point{sample.At, float64(u.RSS)})
			if u.Goroutines > 0 {
				routines = append(routines, Point{sample.At, float64(u.Goroutines)})
			}
		}
		m := Memory{Part: part, RSS: TrendOf(rss), Goroutines: TrendOf(routines)}
		m.Judged = m.RSS.Over >= leastJudged
		s.Memory = append(s.Memory, m)
		if m.Judged && !m.RSS.Flat() {
			s.find("%s: its memory grew by %.1f MB in %v, from a median of %.0f MB", part, m.RSS.Grown/1e6, m.RSS.Over.Round(time.Second), m.RSS.Median/1e6)
		}
		if m.Judged && m.Goroutines.Grown > max(5, m.Goroutines.Median/10) {
			s.find("%s: its goroutines grew by %.0f in %v, from a median of %.0f", part, m.Goroutines.Grown, m.Goroutines.Over.Round(time.Second), m.Goroutines.Median)
		}
	}
}

// mostLag is what a stage's lag may be: the sink reads each vacancy twice, its vector and its category.
func mostLag(stage string, rate float64) int {
	if stage == "sink" {
		rate *= 2
	}
	return int(lagSeconds * rate)
}

// judgeLag looks at the lag after each step, at its trend after the last one, and at what is left in the end.
func (s *Soak) judgeLag(samples []Sample, done []Done, rate float64) {
	low := func(sample Sample) bool {
		for stage, lag := range sample.Lag {
			if lag > mostLag(stage, rate) {
				return false
			}
		}
		return len(sample.Lag) > 0
	}
	for i, step := range done {
		inRow, back, is := 0, time.Duration(0), false
		for _, sample := range samples {
			if sample.At < step.Began+step.Ready || is || i+1 < len(done) && sample.At >= done[i+1].Began && inRow > 0 {
				continue
			}
			if inRow++; !low(sample) {
				inRow = 0
			} else if inRow == 1 {
				back = sample.At - step.Began
			}
			is = inRow >= lagSamples
		}
		s.Back = append(s.Back, back)
		if inRow == 0 || back > step.Ready+backWithin {
			s.find("%s %s: %v after it was ready some lag was still above what comes in %d s", step.Kind, step.Target, backWithin, lagSeconds)
		}
	}
	var settled time.Duration
	if n := len(done); n > 0 {
		settled = done[n-1].Began + done[n-1].CaughtUp + backWithin
	}
	points := map[string][]Point{}
	for _, sample := range samples {
		for stage, lag := range sample.Lag {
			s.MostLag[stage], s.EndLag[stage] = max(s.MostLag[stage], lag), lag
			if sample.At >= settled {
				points[stage] = append(points[stage], Point{sample.At, float64(lag)})
			}
		}
	}
	for stage, of := range points {
		t := TrendOf(of)
		s.LagTrend[stage] = t
		if most := float64(mostLag(stage, rate)); t.Grown > most/5 || t.Median > most/2 {
			s.find("%s: after the last step its lag had a median of %.0f and grew by %.0f in %v", stage, t.Median, t.Grown, t.Over.Round(time.Second))
		}
	}
}

// partOrder is the order in which parts are shown.
var partOrder = append(slices.Clone(stages), "sink", "serve", "watch", "broker", "clickhouse")

func comparePart(a, b string) int {
	rank := func(part string) int {
		kind, _, _ := strings.Cut(part, "/")
		return slices.Index(partOrder, kind)
	}
	if rank(a) != rank(b) {
		return rank(a) - rank(b)
	}
	return strings.Compare(a, b)
}

// Write writes the figures for people.
func (s *Soak) Write(out io.Writer, done []Done) {
	fmt.Fprintf(out, "\n%-30s %8s %8s %8s   lag back after\n", "step", "at", "ready", "through")
	for i, d := range done {
		fmt.Fprintf(out, "%-30s %6.0f s %6.1f s %6.1f s %6.1f s\n", string(d.Kind)+" "+d.Target, d.Began.Seconds(), d.Ready.Seconds(), d.CaughtUp.Seconds(), s.Back[i].Seconds())
	}
	if slices.ContainsFunc(s.Memory, func(m Memory) bool { return m.Judged }) {
		s.writeMemory(out)
	}
	fmt.Fprintf(out, "\n%-12s %9s %9s %20s\n", "lag of", "highest", "last", "after the last step")
	for _, stage := range append(slices.Clone(stages), "sink") {
		t := s.LagTrend[stage]
		fmt.Fprintf(out, "%-12s %9d %9d   median %.0f, grown by %+.1f\n", stage, s.MostLag[stage], s.EndLag[stage], t.Median, t.Grown)
	}
	fmt.Fprintln(out)
}

func (s *Soak) writeMemory(out io.Writer) {
	fmt.Fprintf(out, "\n%-12s %9s %12s %12s %8s   goroutines\n", "memory of", "median", "trend", "grown", "over")
	for _, m := range s.Memory {
		if !m.Judged {
			fmt.Fprintf(out, "%-12s (its last process was %v old after its warm-up: not judged)\n", m.Part, m.RSS.Over.Round(time.Second))
			continue
		}
		routines := ""
		if m.Goroutines.Median > 0 {
			routines = fmt.Sprintf("%6.0f, grown by %.1f", m.Goroutines.Median, m.Goroutines.Grown)
		}
		fmt.Fprintf(out, "%-12s %6.0f MB %+7.1f MB/h %+9.1f MB %6.0f s   %s\n", m.Part, m.RSS.Median/1e6, m.RSS.Slope/1e6, m.RSS.Grown/1e6, m.RSS.Over.Seconds(), routines)
	}
}
