package embed

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jobstrom/models"
)

func TestPad(t *testing.T) {
	f := func(card models.EncoderCard, want padded) {
		t.Helper()
		rows := []row{{ids: []uint32{5, 6, 7}}, {ids: []uint32{8}}}
		if card.TokenTypes {
			rows[0].types, rows[1].types = []uint32{0, 0, 1}, []uint32{1}
		}
		var got padded
		longer := row{ids: []uint32{9, 9, 9, 9, 9, 9, 9, 9}} // leaves its numbers in the memory
		if card.TokenTypes {
			longer.types = []uint32{1, 1, 1, 1, 1, 1, 1, 1}
		}
		got.fill([]row{longer}, &card)
		got.fill(rows, &card)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(padded{})); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", card, diff)
		}
	}
	first := int64(2)
	f(models.EncoderCard{PadID: 1}, padded{ids: []int64{5, 6, 7, 8, 1, 1}, mask: []int64{1, 1, 1, 1, 0, 0}, longest: 3})
	f(models.EncoderCard{PadID: 1, TokenTypes: true, FirstPosition: &first}, padded{
		ids: []int64{5, 6, 7, 8, 1, 1}, mask: []int64{1, 1, 1, 1, 0, 0}, types: []int64{0, 0, 1, 1, 0, 0}, positions: []int64{2, 3, 4, 2, 0, 0}, longest: 3,
	})
	f(models.EncoderCard{PadID: 1, TokenTypes: true, FirstPosition: &first, PadLeft: true}, padded{
		ids: []int64{5, 6, 7, 1, 1, 8}, mask: []int64{1, 1, 1, 0, 0, 1}, types: []int64{0, 0, 1, 0, 0, 1}, positions: []int64{2, 3, 4, 0, 0, 2}, longest: 3,
	})
}

func TestPool(t *testing.T) {
	f := func(way string, want ...float32) {
		t.Helper()
		// The third token is padding and must not count.
		if diff := cmp.Diff(want, pool(way, []float32{1, -2, 4, -5, 100, 100}, 2, 2)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", way, diff)
		}
	}
	f(models.PoolingMean, 2.5, -3.5)
	f(models.PoolingCLS, 1, -2)
	f(models.PoolingLastToken, 4, -5)
	f(models.PoolingMax, 4, -2)
	f(models.PoolingWeightedMean, 3, -4)
}

func TestDense(t *testing.T) {
	f := func(activation string, want ...float32) {
		t.Helper()
		d := dense{layer: models.Dense{In: 2, Out: 2, Activation: activation}, weights: []float32{1, 2, -1, 0}, bias: []float32{.5, 0}}
		got := d.apply([]float32{1, -.5})
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-6 {
				t.Errorf("%s gives %v, want %v", activation, got, want)
			}
		}
	}
	f(models.ActivationIdentity, .5, -1)
	f(models.ActivationTanh, .46211716, -.76159416)
	f(models.ActivationReLU, .5, 0)
	f(models.ActivationSigmoid, .62245933, .26894142)
	f(models.ActivationGELU, .34573123, -.15865526)
}

func TestCut(t *testing.T) {
	f := func(a around, left bool, want ...uint32) {
		t.Helper()
		if diff := cmp.Diff(want, a.cut([]uint32{1, 2, 3, 4, 5, 6}, 4, left)); diff != "" {
			t.Errorf("%+v, left %t (-want +got):\n%s", a, left, diff)
		}
	}
	f(around{before: 1, after: 1}, false, 1, 2, 3, 6)
	f(around{before: 1, after: 1}, true, 1, 4, 5, 6)
	f(around{after: 2}, false, 1, 2, 5, 6)
	f(around{before: 2}, true, 1, 2, 5, 6)
	f(around{}, false, 1, 2, 3, 4)
	f(around{}, true, 3, 4, 5, 6)
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
