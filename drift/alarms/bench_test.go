package alarms

import "testing"

// A pair of windows of 10,000 and 1,000 rows in bursts, and as many independent ones, with 999 resamples.
func BenchmarkCategorical(b *testing.B) {
	s := newStream(history, 1)
	moved := newStream(shifted(21, .2), 2) // far enough for no draw to reach it: all 999 are made
	for name, windows := range map[string][2]*Categories{
		"independent": {s.independent(b, 10_000), moved.independent(b, 1000)},
		"bursts":      {s.bursts(b, 10_000, true), moved.bursts(b, 1000, true)},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Categorical(windows[0], windows[1], Options{Resamples: 999}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
