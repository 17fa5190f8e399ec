package alarms

import (
	"math"
	"math/rand/v2"
)

// factorials holds ln n! of small n.
type factorials []float64

// mostFactorials bounds the table; Stirling's series is exact to rounding long before.
const mostFactorials = 1 << 16

func newFactorials(most int) factorials {
	f := make(factorials, min(most, mostFactorials)+1)
	for i := 2; i < len(f); i++ {
		f[i] = f[i-1] + math.Log(float64(i))
	}
	return f
}

// log returns ln n!.
func (f factorials) log(n int) float64 {
	if n < len(f) {
		return f[n]
	}
	x := float64(n)
	return (x+.5)*math.Log(x) - x + .5*math.Log(2*math.Pi) + 1/(12*x) - 1/(360*x*x*x)
}

// hypergeometric draws how many of n rows, drawn without replacement from all, are among the marked ones. It adds up probabilities from
// the most probable number on, alternately to both sides, which takes as many steps as the standard deviation.
func hypergeometric(random *rand.Rand, f factorials, all, marked, n int) int {
	low, high := max(0, n-(all-marked)), min(n, marked)
	if low == high {
		return low
	}
	mode := int(float64(n+1) * float64(marked+1) / float64(all+2))
	mode = min(max(mode, low), high)
	// P(x) = C(marked, x) · C(all−marked, n−x) / C(all, n).
	peak := math.Exp(f.log(marked) - f.log(mode) - f.log(marked-mode) +
		f.log(all-marked) - f.log(n-mode) - f.log(all-marked-n+mode) -
		f.log(all) + f.log(n) + f.log(all-n))
	u := random.Float64() - peak
	if u < 0 {
		return mode
	}
	up, down, above, below := mode, mode, peak, peak
	for up < high || down > low {
		if up < high {
			above *= float64(marked-up) * float64(n-up) / (float64(up+1) * float64(all-marked-n+up+1))
			up++
			if u -= above; u < 0 {
				return up
			}
		}
		if down > low {
			below *= float64(down) * float64(all-marked-n+down) / (float64(marked-down+1) * float64(n-down+1))
			down--
			if u -= below; u < 0 {
				return down
			}
		}
		if above+below < 1e-18 {
			break // What is left of u is rounding.
		}
	}
	return mode
}
