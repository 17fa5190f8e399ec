package embed

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSubBatches(t *testing.T) {
	f := func(lengths []int, maxTokens, maxRows int, want ...[]int) {
		t.Helper()
		rows := make([]row, len(lengths))
		for i, n := range lengths {
			rows[i] = row{index: i, ids: make([]uint32, n)}
		}
		var got [][]int
		for _, batch := range subBatches(rows, maxTokens, maxRows) {
			var indices []int
			for _, r := range batch {
				indices = append(indices, r.index)
			}
			got = append(got, indices)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lengths %v, at most %d tokens and %d rows (-want +got):\n%s", lengths, maxTokens, maxRows, diff)
		}
	}
	f(nil, 8, 8)
	f([]int{3}, 8, 8, []int{0})
	f([]int{3, 9, 3, 4}, 8, 8, []int{1}, []int{3, 0}, []int{2})
	f([]int{2, 2, 2, 2, 2}, 8, 8, []int{0, 1, 2, 3}, []int{4})
	f([]int{1, 1, 1, 1, 1}, 8, 2, []int{0, 1}, []int{2, 3}, []int{4})
}

func TestPad(t *testing.T) {
	ids, mask, longest := pad([]row{{ids: []uint32{5, 6, 7}}, {ids: []uint32{8}}}, 1)
	want := [][]int64{{5, 6, 7, 8, 1, 1}, {1, 1, 1, 1, 0, 0}}
	if diff := cmp.Diff(want, [][]int64{ids, mask}); diff != "" || longest != 3 {
		t.Errorf("longest %d, ids and mask (-want +got):\n%s", longest, diff)
	}
}

func TestMeanPoolAndNormalize(t *testing.T) {
	// The third token is padding and must not count.
	v := meanPool([]float32{1, 2, 5, 6, 100, 100}, 2, 2)
	if diff := cmp.Diff([]float32{3, 4}, v); diff != "" {
		t.Errorf("mean (-want +got):\n%s", diff)
	}
	normalize(v)
	if math.Abs(float64(v[0])-.6) > 1e-6 || math.Abs(float64(v[1])-.8) > 1e-6 {
		t.Errorf("normalised %v, want .6 and .8", v)
	}
	zero := []float32{0, 0}
	normalize(zero)
	if diff := cmp.Diff([]float32{0, 0}, zero); diff != "" {
		t.Errorf("a vector of zeros changed:\n%s", diff)
	}
}
