package models

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"jobstrom/schemas"
)

func carded(change func(*schemas.Card)) *schemas.Classifier {
	c := &schemas.Classifier{
		Encoder: "e", Taxonomy: "t", Dim: 2, Categories: 3, Weights: make([]float32, 6), Bias: make([]float32, 3), Mean: make([]float32, 2), Temperature: 1,
		Metrics: map[string]float64{"top1": .5}, Training: map[string]string{"seed": "1"},
		Card: &schemas.Card{
			EncoderName: "small", Version: "1.0", History: &schemas.TrainingHistory{Rows: 9, First: timestamppb.Now()}, Split: &schemas.TrainingSplit{Train: 6},
			Calibration: &schemas.Calibration{Ece: .1, Bins: []*schemas.CalibrationBin{{Count: 9, Confidence: .5, Accuracy: .4}}},
			Baseline:    &schemas.Baseline{Rows: 6, Mean: []float32{-1, 1}, Variance: []float32{0, 1}, Shares: []float32{.5, .25, .25}},
		},
	}
	if change != nil {
		change(c.Card)
	}
	return c
}

// A card is part of what the identity is the hash of, and survives the way over Kafka.
func TestCardTravels(t *testing.T) {
	c, other := carded(nil), carded(func(k *schemas.Card) { k.Baseline.Shares = []float32{.25, .5, .25} })
	if err := SealClassifier(c); err != nil {
		t.Fatal(err)
	}
	if err := SealClassifier(other); err != nil || other.Id == c.Id {
		t.Fatalf("another card gives the same identity (%v)", err)
	}
	data, err := EncodeClassifier(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeClassifier(data)
	if err != nil || got.Card.EncoderName != "small" || got.Card.Baseline.Mean[0] != -1 || got.Card.Calibration.Bins[0].Count != 9 {
		t.Fatalf("got %v, %v", got.GetCard(), err)
	}
	said := WithoutNumbers(c)
	if len(said.Weights)+len(said.Bias)+len(said.Mean) != 0 || said.Id != c.Id || said.Card.Version != "1.0" || said.Metrics["top1"] != .5 || len(c.Weights) != 6 {
		t.Fatalf("without numbers it is %v", said)
	}
}

func TestCardFailure(t *testing.T) {
	f := func(want string, change func(*schemas.Card)) {
		t.Helper()
		if err := SealClassifier(carded(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f("card.baseline.mean (1 values) must have 2", func(c *schemas.Card) { c.Baseline.Mean = c.Baseline.Mean[:1] })
	f("card.baseline.variance[1] (-1) must be finite and >= 0", func(c *schemas.Card) { c.Baseline.Variance[1] = -1 })
	f("card.baseline.shares[0] (NaN)", func(c *schemas.Card) { c.Baseline.Shares[0] = float32(math.NaN()) })
	f("card.calibration.ece (+Inf)", func(c *schemas.Card) { c.Calibration.Ece = math.Inf(1) })
	f("card.calibration.bins[0]", func(c *schemas.Card) { c.Calibration.Bins[0].Accuracy = math.NaN() })
	f("card.history.last is not a time", func(c *schemas.Card) { c.History.Last = &timestamppb.Timestamp{Nanos: -1} })
}
