package models

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"jobstrom/schemas"
)

func TestQuantize(t *testing.T) {
	c := smallClassifier()
	c.Owners = []uint32{1, 0}
	c.Weights = []float32{0, 0, 0, -127, .4, 63}
	Quantize(c)
	if err := SealClassifier(c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float32{0, 0, 0, -127, 0, 63}, Weights(c)); diff != "" || Owner(c, 0) != 1 || Rows(c) != 2 || len(c.Weights) != 0 {
		t.Fatalf("%d rows, the first of category %d; weights (-want +got):\n%s", Rows(c), Owner(c, 0), diff)
	}
}

// TestCompressedEqualsPeers: the same weights are pruned as PyTorch's rule says, and rounded to the same bytes.
func TestCompressedEqualsPeers(t *testing.T) {
	data, err := os.ReadFile("testdata/compressed.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Rows, Dim       int
		Share           float64
		Weights, Pruned []float32
		Mask            []int
		Rows8, Tensor8  []int8
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, k := range cases {
		make := func() *schemas.Classifier {
			return &schemas.Classifier{
				Encoder: "e", Taxonomy: "t", Dim: uint32(k.Dim), Categories: uint32(k.Rows), Temperature: 1,
				Weights: slices.Clone(k.Weights), Bias: make([]float32, k.Rows),
			}
		}
		sealed := func(c *schemas.Classifier) int {
			t.Helper()
			if err := SealClassifier(c); err != nil {
				t.Fatalf("%d × %d: %v", k.Rows, k.Dim, err)
			}
			data, err := EncodeClassifier(c)
			if err != nil {
				t.Fatal(err)
			}
			again, err := DecodeClassifier(data)
			if err != nil || !slices.Equal(Weights(again), Weights(c)) {
				t.Fatalf("%d × %d: what was written is not what was read (%v)", k.Rows, k.Dim, err)
			}
			return len(data)
		}
		plain, pruned, rows, tensor := make(), make(), make(), make()
		Prune(pruned, k.Share)
		Quantize(rows)
		QuantizeTensor(tensor)
		size, size8 := sealed(plain), sealed(rows)
		sealed(tensor)
		if prunedSize := sealed(pruned); !slices.Equal(Weights(pruned), k.Pruned) || prunedSize > size {
			t.Errorf("%d × %d pruned by %v in %d of %d bytes:\n%s", k.Rows, k.Dim, k.Share, prunedSize, size, cmp.Diff(k.Pruned, Weights(pruned)))
		}
		if got := signed(Weights8(rows)); !slices.Equal(got, k.Rows8) || size8 >= size {
			t.Errorf("%d × %d in %d of %d bytes:\n%s", k.Rows, k.Dim, size8, size, cmp.Diff(k.Rows8, got))
		}
		if got := signed(Weights8(tensor)); !slices.Equal(got, k.Tensor8) {
			t.Errorf("%d × %d with one scale:\n%s", k.Rows, k.Dim, cmp.Diff(k.Tensor8, got))
		}
		// Both together, and a copy that was rounded before it was pruned.
		Quantize(pruned)
		sealed(pruned)
		for i, b := range signed(Weights8(pruned)) {
			if want := k.Rows8[i] * int8(k.Mask[i]); b != want {
				t.Errorf("weight %d of %d × %d pruned and rounded is %d, want %d", i, k.Rows, k.Dim, b, want)
			}
		}
		Prune(rows, k.Share)
		sealed(rows)
	}
}

func signed(b []byte) []int8 {
	s := make([]int8, len(b))
	for i := range b {
		s[i] = int8(b[i])
	}
	return s
}

// Compression leaves the classifier it was copied from alone: the variants are made of one plain model.
func TestCompressionCopies(t *testing.T) {
	c := smallClassifier()
	before := proto.Clone(c).(*schemas.Classifier)
	shared := &schemas.Classifier{Dim: c.Dim, Categories: c.Categories, Weights: c.Weights, Bias: c.Bias}
	Prune(shared, .5)
	Quantize(shared)
	if !proto.Equal(c, before) {
		t.Fatal("the plain classifier was changed")
	}
}
