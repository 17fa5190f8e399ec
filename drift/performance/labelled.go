package performance

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval bounds a figure.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Accuracy is how many of the labelled vacancies were predicted right.
type Accuracy struct {
	Right    int      `json:"right"`
	Labelled int      `json:"labelled"`
	Share    float64  `json:"share"`
	Interval Interval `json:"interval"`
}

// Labelled returns the accuracy of vacancies whose labels have come, with Wilson's score interval (1927) at a level such as 0.95. It needs a
// labelled vacancy. The labelled must be a fair sample for it to hold of all: people label first what they doubt.
func Labelled(right, labelled int, level float64) (Accuracy, error) {
	if labelled < 1 || right < 0 || right > labelled {
		return Accuracy{}, fmt.Errorf("finding the accuracy of labelled vacancies: %d right of %d: there must be one or more, and no more right than labelled", right, labelled)
	}
	if !(level > 0 && level < 1) {
		return Accuracy{}, fmt.Errorf("finding the accuracy of labelled vacancies: the level (%v) must be above 0 and below 1", level)
	}
	z := distuv.UnitNormal.Quantile((1 + level) / 2)
	n, share := float64(labelled), float64(right)/float64(labelled)
	middle := (share + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	return Accuracy{Right: right, Labelled: labelled, Share: share, Interval: Interval{Low: max(0, middle-half), High: min(1, middle+half)}}, nil
}
