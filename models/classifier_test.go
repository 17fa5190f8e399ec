package models

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"jobstrom/schemas"
)

// smallClassifier returns a valid one that is not sealed.
func smallClassifier() *schemas.Classifier {
	return &schemas.Classifier{
		Encoder: "e", Taxonomy: "t", Dim: 3, Categories: 2,
		Weights: []float32{1, 2, 3, 4, 5, 6}, Bias: []float32{-1, 1}, Mean: []float32{.1, .2, .3},
		Temperature: 1.5, Prior: []float32{.25, .75}, TrainedAt: &timestamppb.Timestamp{Seconds: 1},
		Metrics: map[string]float64{"top1": .9, "top3": .99, "ece": .01}, Training: map[string]string{"seed": "1", "rows": "10"},
	}
}

func TestClassifierRoundTrip(t *testing.T) {
	want := smallClassifier()
	if err := SealClassifier(want); err != nil {
		t.Fatal(err)
	}
	data, err := EncodeClassifier(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeClassifier(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Fatalf("classifier changed on its way (-want +got):\n%s", diff)
	}
	again := smallClassifier()
	again.Id = "something else"
	if err := SealClassifier(again); err != nil || again.Id != want.Id || len(want.Id) != 64 {
		t.Fatalf("the same content has the ids %q and %q (%v)", want.Id, again.Id, err)
	}
	again.Bias[0]++
	if err := SealClassifier(again); err != nil || again.Id == want.Id {
		t.Fatalf("another content has the same id (%v)", err)
	}
}

func TestClassifierFailure(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	f := func(change func(*schemas.Classifier), want ...string) {
		t.Helper()
		c := smallClassifier()
		if err := SealClassifier(c); err != nil {
			t.Fatal(err)
		}
		change(c)
		raw, err := schemas.Encode(schemas.Protobuf, c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = DecodeClassifier(raw)
		if !errors.Is(err, schemas.ErrMalformed) {
			t.Fatalf("DecodeClassifier = %v, want ErrMalformed", err)
		}
		_, encodeErr := EncodeClassifier(c)
		for _, w := range want {
			for _, err := range []error{err, encodeErr} {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Fatalf("error %v lacks %q", err, w)
				}
			}
		}
	}
	f(func(c *schemas.Classifier) { c.Id = "" }, "never sealed")
	f(func(c *schemas.Classifier) { c.Weights[3]++ }, "was changed")
	f(func(c *schemas.Classifier) { c.Training["seed"] = "2" }, "was changed")
	f(func(c *schemas.Classifier) { c.Encoder, c.Taxonomy = "", "" }, "encoder is empty", "taxonomy is empty")
	f(func(c *schemas.Classifier) { c.Dim = 0 }, "dim (0) must be 1 to", "2 × 0")
	f(func(c *schemas.Classifier) { c.Dim, c.Categories = math.MaxUint32, math.MaxUint32 }, "dim (4294967295)", "categories (4294967295)", "weights (6 values)")
	f(func(c *schemas.Classifier) { c.Categories = 1 }, "categories (1) must be 2 to")
	f(func(c *schemas.Classifier) { c.Bias = c.Bias[:1]; c.Mean = c.Mean[:1]; c.Prior = c.Prior[:1] }, "bias (1 values)", "mean (1 values)", "prior (1 values)")
	f(func(c *schemas.Classifier) { c.Weights[1], c.Bias[0], c.Mean[2], c.Prior[0] = nan, inf, nan, inf }, "weights[1] (NaN)", "bias[0] (+Inf)", "mean[2]", "prior[0]")
	f(func(c *schemas.Classifier) { c.Prior = []float32{-.5, 1.5} }, "prior[0] (-0.5)")
	f(func(c *schemas.Classifier) { c.Prior = []float32{.5, .6} }, "prior must sum to 1")
	f(func(c *schemas.Classifier) { c.Temperature = 0 }, "temperature (0) must be > 0")
	f(func(c *schemas.Classifier) { c.Temperature = inf }, "temperature (+Inf)")
	f(func(c *schemas.Classifier) { c.TrainedAt.Nanos = -1 }, "trained_at is not a time")
	f(func(c *schemas.Classifier) { c.Metrics["ece"] = math.NaN() }, `metrics["ece"]`)

	f(func(c *schemas.Classifier) { c.Owners = []uint32{0, 1, 2} }, "owners[2] (2)", "weights (6 values) must be rows × dim = 3 × 3", "of 3 rows")
	f(func(c *schemas.Classifier) { c.Owners = []uint32{1, 1} }, "category 0 owns no row")
	f(func(c *schemas.Classifier) { c.Weights8 = []byte{1} }, "weights8 (1 values)", "scales (0 values)", "beside weights8")
	f(func(c *schemas.Classifier) { c.Scales = []float32{1} }, "weights8 (0 values)", "beside weights8")
	f(func(c *schemas.Classifier) { c.Present = []byte{1, 0} }, "present (2 bytes) must have a bit for each of rows × dim = 2 × 3")
	f(func(c *schemas.Classifier) { c.Present = []byte{3} }, "weights (6 values) must be 2, as many as present names")
	f(func(c *schemas.Classifier) { c.Present = []byte{0x43} }, "present names weights beyond")
	f(func(c *schemas.Classifier) { Quantize(c); c.Present = []byte{1} }, "weights8 (6 values) must be 1, as many as present names")
	f(func(c *schemas.Classifier) { Quantize(c); c.Scales[1] = nan }, "scales[1] (NaN)")

	if err := SealClassifier(nil); err == nil {
		t.Fatal("no classifier was sealed")
	}
	if err := SealClassifier(&schemas.Classifier{}); err == nil || strings.Count(err.Error(), "\n") < 3 {
		t.Fatalf("an empty classifier has the violations %v, want all of them", err)
	}
}

// FuzzDecodeClassifier holds that hostile bytes never panic and that what is accepted is sealed.
func FuzzDecodeClassifier(f *testing.F) {
	c := smallClassifier()
	if err := SealClassifier(c); err != nil {
		f.Fatal(err)
	}
	data, err := EncodeClassifier(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	Prune(c, .5)
	if err := SealClassifier(c); err != nil {
		f.Fatal(err)
	}
	if data, err = EncodeClassifier(c); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeClassifier(data)
		if (c == nil) == (err == nil) {
			t.Fatalf("DecodeClassifier = %v, %v", c, err)
		}
		if err == nil {
			if _, err := EncodeClassifier(c); err != nil {
				t.Fatalf("an accepted classifier cannot be written: %v", err)
			}
			if got := len(Weights(c)); got != Rows(c)*int(c.Dim) {
				t.Fatalf("%d rows of %d have %d weights", Rows(c), c.Dim, got)
			}
		}
	})
}
