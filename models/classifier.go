package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"jobstrom/schemas"
)

// Bounds of a classifier. They are far above what is used and keep a product of two within 64 bits.
const (
	maxDim        = 1 << 16
	maxCategories = 1 << 12
	maxSparse     = 1 << 27 // a short message must not unfold into all memory
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

// Rows counts the rows of a classifier's weights.
func Rows(c *schemas.Classifier) int { return len(c.Bias) }

// Owner returns the category of a row of weights.
func Owner(c *schemas.Classifier, row int) int {
	if len(c.Owners) == 0 {
		return row
	}
	return int(c.Owners[row])
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
	rows := uint64(c.Categories)
	if len(c.Owners) > 0 {
		rows = uint64(len(c.Owners))
	}
	held, want := rows*uint64(c.Dim), fmt.Sprintf("rows × dim = %d × %d", rows, c.Dim)
	if len(c.Present) > 0 {
		check(uint64(len(c.Present)) == (held+7)/8, "present (%d bytes) must have a bit for each of %s weights", len(c.Present), want)
		check(held <= maxSparse, "weights (%s) must be at most %d where present names those that are not 0", want, maxSparse)
		if rest := held % 8; rest > 0 {
			check(c.Present[len(c.Present)-1]>>rest == 0, "present names weights beyond %s", want)
		}
		held = countBits(c.Present)
		want = fmt.Sprintf("%d, as many as present names", held)
	}
	if len(c.Weights8) == 0 && len(c.Scales) == 0 {
		check(uint64(len(c.Weights)) == held, "weights (%d values) must be %s", len(c.Weights), want)
	} else {
		check(uint64(len(c.Weights8)) == held, "weights8 (%d values) must be %s", len(c.Weights8), want)
		check(uint64(len(c.Scales)) == rows, "scales (%d values) must have one for each of %d rows", len(c.Scales), rows)
		check(len(c.Weights) == 0, "weights (%d values) must be empty beside weights8", len(c.Weights))
	}
	check(uint64(len(c.Bias)) == rows, "bias (%d values) must have one for each of %d rows", len(c.Bias), rows)
	if len(c.Owners) > 0 && c.Categories <= maxCategories {
		owned := make([]bool, c.Categories)
		for i, owner := range c.Owners {
			if owner >= c.Categories {
				check(false, "owners[%d] (%d) must be < categories = %d", i, owner, c.Categories)
				break
			}
			owned[owner] = true
		}
		check(!slices.Contains(owned, false), "category %d owns no row", slices.Index(owned, false))
	}
	check(len(c.Mean) == 0 || uint64(len(c.Mean)) == uint64(c.Dim), "mean (%d values) must have dim = %d, or none", len(c.Mean), c.Dim)
	check(len(c.Prior) == 0 || uint64(len(c.Prior)) == uint64(c.Categories), "prior (%d values) must have one for each of %d categories, or none", len(c.Prior), c.Categories)
	for _, f := range []struct {
		name   string
		values []float32
	}{{"weights", c.Weights}, {"scales", c.Scales}, {"bias", c.Bias}, {"mean", c.Mean}, {"prior", c.Prior}} {
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
	return errors.Join(append(errs, validateCard(c)...)...)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
