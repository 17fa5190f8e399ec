package classify

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"jobstrom/models"
	"jobstrom/schemas"
)

//go:generate go run ../../trainer/defaults -out . ../../samples/vacancies.jsonl ../../samples/history.jsonl

//go:embed defaults
var defaults embed.FS

// ErrNoDefault is returned when no classifier for an encoder comes with the program.
var ErrNoDefault = errors.New("no classifier for this encoder comes with the program")

// Default opens the classifier that comes with the program for an encoder, with default options.
func Default(taxonomy *schemas.Taxonomy, encoderID string) (*Classifier, error) {
	c, err := DefaultModel(encoderID)
	if err != nil {
		return nil, err
	}
	return New(c, taxonomy, Options{})
}

// DefaultModel reads the classifier that comes with the program for an encoder: the file that is named by
// the first 16 digits of the encoder's identity.
func DefaultModel(encoderID string) (*schemas.Classifier, error) {
	data, err := defaults.ReadFile(DefaultPath(encoderID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the default classifier: %w: %.16q; train one with `jobstrom train`, or use the default encoder", ErrNoDefault, encoderID)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the default classifier: %w", err)
	}
	c, err := models.DecodeClassifier(data)
	if err != nil {
		return nil, fmt.Errorf("opening the default classifier: %w", err)
	}
	if c.Encoder != encoderID {
		return nil, fmt.Errorf("opening the default classifier: %w: %q, not %q", ErrOtherEncoder, c.Encoder, encoderID)
	}
	return c, nil
}

// DefaultModels reads all classifiers that come with the program, in the order of their encoders' identities.
func DefaultModels() ([]*schemas.Classifier, error) {
	files, err := fs.Glob(defaults, "defaults/*.bin")
	if err != nil {
		return nil, fmt.Errorf("listing the default classifiers: %w", err)
	}
	var all []*schemas.Classifier
	for _, path := range files {
		data, err := defaults.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("opening the default classifier %s: %w", path, err)
		}
		c, err := models.DecodeClassifier(data)
		if err != nil {
			return nil, fmt.Errorf("opening the default classifier %s: %w", path, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// DefaultPath is where an encoder's default classifier lies below this package's folder.
func DefaultPath(encoderID string) string {
	return "defaults/" + encoderID[:min(16, len(encoderID))] + ".bin"
}
