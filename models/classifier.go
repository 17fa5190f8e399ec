package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"jobstrom/schemas"
)

// Bounds of a classifier. They are far above what is used and keep a product of two within 64 bits.
const (
	maxDim        = 1 << 16
	maxCategories = 1 << 12
)

// SealClassifier validates a classifier and gives it its identity: the hex SHA-256 of the deterministic
// Protobuf without the id.
func SealClassifier(c *schemas.Classifier) error {
	if err := validateClassifier(c); err != nil {
		return fmt.Errorf("sealing classifier: %w", err)
	}
	id, err := classifierID(c)
	if err != nil {
		return fmt.Errorf("sealing classifier: %w", err)
	}
	c.Id = id
	return nil
}

// VerifyClassifier reports every violation of a sealed classifier at once: identity, shapes, numbers.
func VerifyClassifier(c *schemas.Classifier) error {
	if err := validateClassifier(c); err != nil {
		return err
	}
	want, err := classifierID(c)
	if err != nil {
		return err
	}
	if c.Id != want {
		return fmt.Errorf("id (%.80q) must be %q, the hash of the rest: the classifier was changed or never sealed", c.Id, want)
	}
	return nil
}

// EncodeClassifier writes a sealed classifier as deterministic Protobuf.
func EncodeClassifier(c *schemas.Classifier) ([]byte, error) {
	if err := VerifyClassifier(c); err != nil {
		return nil, fmt.Errorf("encoding classifier: %w", err)
	}
	return schemas.Encode(schemas.Protobuf, c)
}

// DecodeClassifier reads and verifies a sealed classifier. The bytes may come from anyone; every error
// wraps schemas.ErrMalformed.
func DecodeClassifier(data []byte) (*schemas.Classifier, error) {
	c := &schemas.Classifier{}
	if err := schemas.Decode(schemas.Protobuf, data, c); err != nil {
		return nil, fmt.Errorf("decoding classifier: %w", err)
	}
	if err := VerifyClassifier(c); err != nil {
		return nil, fmt.Errorf("decoding classifier: %w: %w", schemas.ErrMalformed, err)
	}
	return c, nil
}

func classifierID(c *schemas.Classifier) (string, error) {
	bare := proto.Clone(c).(*schemas.Classifier)
	bare.Id = ""
	data, err := schemas.Encode(schemas.Protobuf, bare)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// validateClassifier reports every violation but a wrong id.
func validateClassifier(c *schemas.Classifier) error {
	if c == nil {
		return errors.New("there is no classifier")
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Encoder != "", "encoder is empty")
	check(c.Taxonomy != "", "taxonomy is empty")
	check(c.Dim >= 1 && c.Dim <= maxDim, "dim (%d) must be 1 to %d", c.Dim, maxDim)
	check(c.Categories >= 2 && c.Categories <= maxCategories, "categories (%d) must be 2 to %d", c.Categories, maxCategories)
	check(uint64(len(c.Weights)) == uint64(c.Categories)*uint64(c.Dim), "weights (%d values) must be categories × dim = %d × %d", len(c.Weights), c.Categories, c.Dim)
	check(uint64(len(c.Bias)) == uint64(c.Categories), "bias (%d values) must have one for each of %d categories", len(c.Bias), c.Categories)
	check(len(c.Mean) == 0 || uint64(len(c.Mean)) == uint64(c.Dim), "mean (%d values) must have dim = %d, or none", len(c.Mean), c.Dim)
	check(len(c.Prior) == 0 || uint64(len(c.Prior)) == uint64(c.Categories), "prior (%d values) must have one for each of %d categories, or none", len(c.Prior), c.Categories)
	for _, f := range []struct {
		name   string
		values []float32
	}{{"weights", c.Weights}, {"bias", c.Bias}, {"mean", c.Mean}, {"prior", c.Prior}} {
		for i, v := range f.values {
			if !finite(float64(v)) {
				check(false, "%s[%d] (%v) must be finite", f.name, i, v)
				break // one of a field says enough
			}
		}
	}
	var sum float64
	for i, share := range c.Prior {
		check(!(share < 0), "prior[%d] (%v) must be >= 0", i, share)
		sum += float64(share)
	}
	check(len(c.Prior) == 0 || math.Abs(sum-1) < 1e-3, "prior must sum to 1, not to %v", sum)
	check(c.Temperature > 0 && finite(float64(c.Temperature)), "temperature (%v) must be > 0 and finite", c.Temperature)
	check(c.TrainedAt == nil || c.TrainedAt.IsValid(), "trained_at is not a time")
	for name, v := range c.Metrics {
		check(finite(v), "metrics[%.50q] (%v) must be finite", name, v)
	}
	return errors.Join(errs...)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
