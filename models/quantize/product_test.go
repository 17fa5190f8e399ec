package quantize

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoundRows(t *testing.T) {
	w := []float32{1, -2, .5, 0, 0, 0}
	scales := RowScales(w, 2, 3, WholeRange)
	q := RoundRows(w, 3, scales)
	want := []int8{64, -127, 32, 0, 0, 0} // 63.5 and 31.75 in steps of 2/127, half to even
	for i, w := range want {
		if int8(q[i]) != w {
			t.Errorf("weight %d is %d, want %d", i, int8(q[i]), w)
		}
	}
	if math.Abs(float64(scales[0])-2.0/127) > 1e-9 || scales[1] <= 0 {
		t.Errorf("scales are %g, want 2/127 and something above 0", scales)
	}
}

func TestTranspose(t *testing.T) {
	if diff := cmp.Diff([]int{1, 4, 2, 5, 3, 6}, Transpose([]int{1, 2, 3, 4, 5, 6}, 2, 3)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
