package trainer

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSplitProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(r, "n")
		e := clouds(n, 1, rapid.IntRange(1, 6).Draw(r, "categories"), 1, rapid.Uint64().Draw(r, "examples"))
		seed := rapid.Uint64().Draw(r, "seed")
		groups := e.Groups
		if rapid.Bool().Draw(r, "alone") {
			groups = nil
		}
		s, err := SplitExamples(e.Categories, groups, .2, .3, seed)
		if err != nil {
			r.Fatal(err)
		}
		again, err := SplitExamples(e.Categories, groups, .2, .3, seed)
		if diff := cmp.Diff(s, again); err != nil || diff != "" {
			r.Fatalf("the same seed gives another split (%v):\n%s", err, diff)
		}
		all := slices.Concat(s.Train, s.Validation, s.Test)
		slices.Sort(all)
		for i := range n {
			if len(all) != n || all[i] != i {
				r.Fatalf("the parts hold %v, want each of %d once", all, n)
			}
		}
		part := map[string]int{}
		counts := [3]map[int]float64{{}, {}, {}}
		for p, positions := range [][]int{s.Train, s.Validation, s.Test} {
			for _, i := range positions {
				counts[p][e.Categories[i]]++
				if groups == nil {
					continue
				}
				if other, seen := part[groups[i]]; seen && other != p {
					r.Fatalf("%s is in parts %d and %d", groups[i], other, p)
				}
				part[groups[i]] = p
			}
		}
		if groups != nil {
			return
		}
		for c := range counts[0] {
			total := counts[0][c] + counts[1][c] + counts[2][c]
			for p, share := range []float64{.5, .2, .3} {
				if math.Abs(counts[p][c]-share*total) > 1 {
					r.Fatalf("part %d has %v of %v in category %d, want a share of %v", p, counts[p][c], total, c, share)
				}
			}
		}
	})
}

// TestFolds: folds by group stay about equal in size and in categories.
func TestFolds(t *testing.T) {
	e := clouds(330, 1, 11, 1, 8)
	folds, err := Folds(e.Categories, e.Groups, 5, 1)
	if err != nil {
		t.Fatal(err)
	}
	count := map[[2]int]int{}
	size := map[int]int{}
	for i, f := range folds {
		count[[2]int{f, e.Categories[i]}]++
		size[f]++
	}
	for f := range 5 {
		if size[f] < 60 || size[f] > 72 {
			t.Fatalf("fold %d has %d of 330", f, size[f])
		}
		for c := range 11 {
			if n := count[[2]int{f, c}]; n < 3 || n > 9 {
				t.Fatalf("fold %d has %d of 30 in category %d", f, n, c)
			}
		}
	}
	other, err := Folds(e.Categories, e.Groups, 5, 2)
	if err != nil || slices.Equal(folds, other) {
		t.Fatalf("another seed gives the same folds (%v)", err)
	}
}

func TestSplitFailure(t *testing.T) {
	for _, shares := range [][2]float64{{-.1, .2}, {.5, .5}, {math.NaN(), 0}} {
		if _, err := SplitExamples([]int{0}, nil, shares[0], shares[1], 1); err == nil {
			t.Fatalf("shares %v were accepted", shares)
		}
	}
	if _, err := Folds([]int{0}, nil, 1, 1); err == nil {
		t.Fatal("1 fold was accepted")
	}
}
