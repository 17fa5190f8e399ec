package chaos

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// series is a measurement a second of a process that takes base bytes, with the saw teeth of its garbage collector, noise, and some outliers.
func series(seed uint64, lasts time.Duration, base, perHour float64) []Point {
	random := rand.New(rand.NewPCG(seed, 3))
	var points []Point
	for at := time.Duration(0); at < lasts; at += time.Second {
		value := base + perHour*at.Hours() + 4e6*math.Mod(at.Seconds()/37, 1) + 1e6*random.NormFloat64()
		if random.IntN(50) == 0 {
			value += 30e6
		}
		points = append(points, Point{at, value})
	}
	return points
}

func TestTrendOf(t *testing.T) {
	f := func(lasts time.Duration, base, perHour float64, flat bool) {
		t.Helper()
		for seed := range uint64(20) {
			trend := TrendOf(series(seed, lasts, base, perHour))
			if trend.Flat() != flat || math.Abs(trend.Slope-perHour) > 8e6 {
				t.Errorf("seed %d, %v from %.0f MB, %.0f MB an hour: got %.1f MB an hour, %.1f MB in all, flat %v", seed, lasts, base/1e6, perHour/1e6, trend.Slope/1e6, trend.Grown/1e6, trend.Flat())
			}
		}
	}
	const leak = 25 * 1024 * 3600 // 1 KiB a vacancy
	f(13*time.Minute, 90e6, 0, true)
	f(13*time.Minute, 90e6, leak, false)
	f(13*time.Minute, 300e6, leak, false)
	f(13*time.Minute, 90e6, -leak, true) // what shrinks leaks nothing
	f(13*time.Minute, 900e6, 20e6, true)
}

func TestTrendOfFewPoints(t *testing.T) {
	f := func(points []Point, want Trend) {
		t.Helper()
		if got := TrendOf(points); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	f(nil, Trend{})
	f([]Point{{0, 5}, {time.Second, 7}}, Trend{}) // one point when smoothed
	f([]Point{{0, 5}, {time.Hour, 7}}, Trend{Median: 6, Slope: 2, Grown: 2, Over: time.Hour})
	f([]Point{{0, 1}, {time.Hour, 2}, {2 * time.Hour, 90}, {3 * time.Hour, 4}}, Trend{Median: 3, Slope: 1, Grown: 3, Over: 3 * time.Hour})
}
