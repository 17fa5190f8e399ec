package chaos

import (
	"math"
	"slices"
	"time"
)

// Point is a value at a time.
type Point struct {
	At    time.Duration
	Value float64
}

// Trend is how a series went: its median, and its Theil-Sen slope, the median of the slopes between all pairs of points (Sen 1968), which outliers of up to 29 % of the points do not move.
type Trend struct {
	Median float64
	// Slope is the change in an hour.
	Slope float64
	// Grown is the slope over the time between the first and the last point: how much of the series' change is a trend.
	Grown float64
	Over  time.Duration
}

// smoothed are so many seconds of which one point is made, their median: what garbage collection does between two points says nothing of a trend.
const smoothed = 10 * time.Second

// TrendOf returns the trend of points in the order of their times; the zero value for fewer than two times of smoothing.
func TrendOf(points []Point) Trend {
	points = smooth(points)
	if len(points) < 2 {
		return Trend{}
	}
	values := make([]float64, len(points))
	var slopes []float64
	for i, p := range points {
		values[i] = p.Value
		for _, before := range points[:i] {
			slopes = append(slopes, (p.Value-before.Value)/(p.At-before.At).Hours())
		}
	}
	t := Trend{Median: median(values), Slope: median(slopes), Over: points[len(points)-1].At - points[0].At}
	t.Grown = t.Slope * t.Over.Hours()
	return t
}

// smooth makes one point of each stretch of time: the median of its values, at the mean of its times.
func smooth(points []Point) []Point {
	var out []Point
	for i := 0; i < len(points); {
		end := points[i].At + smoothed
		var values []float64
		var at time.Duration
		for ; i < len(points) && points[i].At < end; i++ {
			values = append(values, points[i].Value)
			at += points[i].At
		}
		out = append(out, Point{at / time.Duration(len(values)), median(values)})
	}
	return out
}

func median(values []float64) float64 {
	values = slices.Clone(values)
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// Memory is flat when its trend is less than this share of it, or less than so many bytes, over the time judged. What leaks 1 KiB a vacancy, at 25 a second, grows by 20 MB in 13 minutes.
const (
	flatShare = .05
	flatBytes = 6 << 20
)

// Flat says whether a process's memory is.
func (t Trend) Flat() bool { return t.Grown <= max(flatShare*t.Median, flatBytes) }
