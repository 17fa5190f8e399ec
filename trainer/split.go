package trainer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Ways to divide a history.
const (
	// ByEmployer gives each category about the same share in each part, and puts no employer in two: what is measured holds for employers that were
	// never seen.
	ByEmployer = "employer"
	// ByVacancy gives each category about the same share in each part; the same employer may be in all of them.
	ByVacancy = "vacancy"
	// ByTime tests on the newest vacancies and chooses by those before them: what is measured holds for what comes next.
	ByTime = "time"
)

// Splits lists them.
var Splits = []string{ByEmployer, ByVacancy, ByTime}

// Split is a division of examples, by position.
type Split struct{ Train, Validation, Test []int }

// SplitByTime divides examples by when they came: the newest are the test part, those before them the validation part. The shares are those of
// SplitExamples. Of examples that came together the later position counts as newer.
func SplitByTime(times []time.Time, validation, test float64) (Split, error) {
	if !(validation >= 0 && test >= 0 && validation+test < 1) {
		return Split{}, fmt.Errorf("splitting examples: validation (%v) and test (%v) must be >= 0 and leave a share for training", validation, test)
	}
	if i := slices.IndexFunc(times, time.Time.IsZero); i >= 0 {
		return Split{}, fmt.Errorf("splitting examples by time: %w: nobody knows when example %d came", ErrExamples, i)
	}
	order := make([]int, len(times))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return times[a].Compare(times[b]) })
	n := float64(len(times))
	end := len(order) - int(test*n+.5)
	begin := end - int(validation*n+.5)
	s := Split{Train: order[:begin:begin], Validation: order[begin:end:end], Test: order[end:]}
	for _, part := range [][]int{s.Train, s.Validation, s.Test} {
		slices.Sort(part)
	}
	return s, nil
}

// SplitExamples divides examples so that each category has about the same share in each part, and no group
// is in two parts. The shares of validation and test are in [0, 1) and leave something to train on.
func SplitExamples(categories []int, groups []string, validation, test float64, seed uint64) (Split, error) {
	if !(validation >= 0 && test >= 0 && validation+test < 1) {
		return Split{}, fmt.Errorf("splitting examples: validation (%v) and test (%v) must be >= 0 and leave a share for training", validation, test)
	}
	var s Split
	parts := []*[]int{&s.Train, &s.Validation, &s.Test}
	for i, part := range divide(categories, groups, []float64{1 - validation - test, validation, test}, seed) {
		*parts[part] = append(*parts[part], i)
	}
	return s, nil
}

// Folds gives each example the fold in which it is held out, 0 to k-1: stratified, no group in two folds.
func Folds(categories []int, groups []string, k int, seed uint64) ([]int, error) {
	if k < 2 {
		return nil, fmt.Errorf("dividing into folds: k (%d) must be >= 2", k)
	}
	shares := make([]float64, k)
	for i := range shares {
		shares[i] = 1 / float64(k)
	}
	return divide(categories, groups, shares, seed), nil
}

// divide gives each example a part. Groups go, largest first and otherwise in random order, to the part
// that lacks their categories most; ties go to the part that lacks most in all.
func divide(categories []int, groups []string, shares []float64, seed uint64) []int {
	units := unite(groups, len(categories))
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	slices.SortStableFunc(units, func(a, b []int) int { return cmp.Compare(len(b), len(a)) })

	total := map[int]float64{}
	for _, c := range categories {
		total[c]++
	}
	have := make([]map[int]float64, len(shares))
	size := make([]float64, len(shares))
	for p := range have {
		have[p] = map[int]float64{}
	}
	parts := make([]int, len(categories))
	for _, unit := range units {
		best, bestLack, bestRoom := 0, 0.0, 0.0
		for p, share := range shares {
			if share <= 0 {
				continue
			}
			var lack float64
			for _, i := range unit {
				c := categories[i]
				lack += (share*total[c] - have[p][c]) / total[c]
			}
			room := share*float64(len(categories)) - size[p]
			// Equal shares differ in the last bits only; such a difference must not decide.
			if p == 0 || lack > bestLack+1e-9 || lack > bestLack-1e-9 && room > bestRoom+1e-9 {
				best, bestLack, bestRoom = p, lack, room
			}
		}
		for _, i := range unit {
			parts[i] = best
			have[best][categories[i]]++
			size[best]++
		}
	}
	return parts
}

// unite lists the positions of each group, in the order of their first example.
func unite(groups []string, n int) [][]int {
	var units [][]int
	unit := map[string]int{}
	for i := range n {
		if groups != nil && groups[i] != "" {
			if u, ok := unit[groups[i]]; ok {
				units[u] = append(units[u], i)
				continue
			}
			unit[groups[i]] = len(units)
		}
		units = append(units, []int{i})
	}
	return units
}
