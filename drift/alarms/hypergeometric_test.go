package alarms

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The frequencies of many draws are the probabilities, by χ² with a bound that chance exceeds once in 10,000.
func TestHypergeometricFollowsItsProbabilities(t *testing.T) {
	f := func(all, marked, n int) {
		t.Helper()
		const draws = 50_000
		table := newFactorials(all)
		random := rand.New(rand.NewPCG(1, uint64(all)))
		seen := make([]float64, all+1)
		for range draws {
			seen[hypergeometric(random, table, all, marked, n)]++
		}
		choose := func(n, k int) float64 {
			a, _ := math.Lgamma(float64(n + 1))
			b, _ := math.Lgamma(float64(k + 1))
			c, _ := math.Lgamma(float64(n - k + 1))
			return a - b - c
		}
		var squares, cells, rare, rareSeen float64
		for x, s := range seen {
			expected := 0.0
			if x <= marked && n-x >= 0 && n-x <= all-marked {
				expected = draws * math.Exp(choose(marked, x)+choose(all-marked, n-x)-choose(all, n))
			}
			switch {
			case expected == 0 && s > 0:
				t.Fatalf("%d of %d, %d drawn: %d came out, which cannot be", marked, all, n, x)
			case expected < 10:
				rare, rareSeen = rare+expected, rareSeen+s
			default:
				squares += (s - expected) * (s - expected) / expected
				cells++
			}
		}
		if rare > 1 {
			squares += (rareSeen - rare) * (rareSeen - rare) / rare
			cells++
		}
		if free := max(1, cells-1); squares > free+5*math.Sqrt(2*free)+10 {
			t.Errorf("%d of %d, %d drawn: χ² is %.1f in %v cells", marked, all, n, squares, cells)
		}
	}
	f(10, 3, 4)
	f(10, 10, 4)
	f(10, 0, 4)
	f(10, 9, 9)
	f(11_000, 1650, 1000)
	f(11_000, 4, 1000)
	f(200_000, 90_000, 70_000) // beyond the table of factorials
	f(200_000, 199_990, 150_000)
}
