package trainer

import (
	"cmp"
	"math"
	"slices"
)

// Bin is a range of confidence: how sure the predictions in it are, and how often they are right.
type Bin struct {
	// Low and High bound the confidence; the last range has its upper end, the others have not.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// N counts its predictions. Confidence is their mean confidence, Accuracy the share that is right; both
	// are 0 without predictions.
	N          int     `json:"n"`
	Confidence float64 `json:"confidence"`
	Accuracy   float64 `json:"accuracy"`
}

// ranges is the usual number of ranges of confidence.
const ranges = 10

// equalRanges returns empty ranges of equal width.
func equalRanges() []Bin {
	bins := make([]Bin, ranges)
	for b := range bins {
		bins[b].Low, bins[b].High = float64(b)/ranges, float64(b+1)/ranges
	}
	return bins
}

func rangeOf(confidence float64) int { return min(int(confidence*ranges), ranges-1) }

// equalCounts returns ranges with equally many outcomes, the first ones with one more where they do not
// divide. Equal confidences stay in the outcomes' order.
func equalCounts(all []outcome) []Bin {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b outcome) int { return cmp.Compare(a.confidence, b.confidence) })
	var bins []Bin
	for b := range ranges {
		n := len(all) / ranges
		if b < len(all)%ranges {
			n++
		}
		if n == 0 {
			break
		}
		bin := Bin{Low: order[0].confidence, High: order[n-1].confidence}
		for _, o := range order[:n] {
			bin.add(o)
		}
		bin.close()
		bins, order = append(bins, bin), order[n:]
	}
	return bins
}

// add counts an outcome; close turns the sums into means.
func (b *Bin) add(o outcome) {
	b.N++
	b.Confidence += o.confidence
	if o.rank == 0 {
		b.Accuracy++
	}
}

func (b *Bin) close() {
	n := float64(max(b.N, 1))
	b.Confidence, b.Accuracy = b.Confidence/n, b.Accuracy/n
}

// calibrationError returns the mean gap between confidence and accuracy over all predictions; 0 without any.
func calibrationError(bins []Bin) float64 {
	var gaps float64
	var n int
	for _, b := range bins {
		gaps += float64(b.N) * math.Abs(b.Confidence-b.Accuracy)
		n += b.N
	}
	return gaps / float64(max(n, 1))
}
