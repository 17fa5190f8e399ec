package convert

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"

	"jobstrom/models"
	"jobstrom/schemas"
)

var (
	// ErrNotLinear is wrapped where a whole file holds something else than one linear classifier with softmax.
	ErrNotLinear = errors.New("not a linear classifier")
	// ErrUnfit is wrapped where a file's classifier is not for this encoder or these categories.
	ErrUnfit = errors.New("does not fit")
)

const (
	maxImport = 1 << 26 // bytes of a file; 22 categories of 1,024 numbers in float64 have 180,000
	maxRows   = 1 << 14 // the classifier that comes with jobstrom has 5,510
	// absentBias is the score of a category that the file does not know: its probability is 0, whatever the vector.
	absentBias = -1e9
)

// What an imported classifier's Training says of its file: name, format, SHA-256 in hex.
const (
	ImportedFrom   = "imported_from"
	ImportedFormat = "imported_format"
	ImportedSHA256 = "imported_sha256"
)

// ImportOptions says what a classifier is imported for.
type ImportOptions struct {
	// Encoder is the identity of the encoder whose vectors it takes, Dim their width.
	Encoder string
	Dim     int
	// Taxonomy holds the categories. Default: Jobnet's.
	Taxonomy *schemas.Taxonomy
	// Labels are the names, codes or indices of the categories of the file's rows, in their order. Default: what the file says, else the
	// taxonomy's order where the file has as many rows.
	Labels []string
	// Card goes into the classifier. Default: none.
	Card *schemas.Card
	// Library is the file of ONNX Runtime, which imported ONNX files are checked in. Default: that in the folder of native parts.
	Library string
}

// EnsureDefaults fills the zero fields.
func (o *ImportOptions) EnsureDefaults() {
	if o.Taxonomy == nil {
		o.Taxonomy = schemas.Jobnet()
	}
	if o.Library == "" {
		if dir, err := models.NativeDir(); err == nil {
			o.Library = filepath.Join(dir, models.LibraryONNXRuntime)
		}
	}
}

// Validate reports every violation at once.
func (o ImportOptions) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Encoder != "", "Encoder is empty")
	check(o.Dim >= 1 && o.Dim <= math.MaxUint16, "Dim (%d) must be 1 to %d", o.Dim, math.MaxUint16)
	check(o.Library != "", "Library is not given: %w", models.ErrNoNative)
	return errors.Join(errs...)
}

// linear is the classifier of a file: softmax((columns · (x - mean) + bias) / temperature).
type linear struct {
	format string
	dim    int
	// columns holds the rows of each category, mostly one; the score of several is log Σ exp of theirs.
	columns     [][]row
	mean        []float64 // dim values, or none
	temperature float64
	labels      []string // of the columns; nil where the file does not say
	// encoder and taxonomy are those that a file of WriteClassifier names.
	encoder, taxonomy string
}

type row struct {
	weights []float64
	bias    float64
}

// Import reads the linear classifier of a file: a state_dict of PyTorch (its zip format), or ONNX, as scikit-learn's converter, PyTorch and
// WriteClassifier write it. The file may come from anyone: nothing in it is run before it is known to hold nothing but a linear classifier, and then an
// ONNX file is compared with the classifier in ONNX Runtime. Scores without softmax are taken as what softmax is to be taken of. A category that the
// file does not know gets probability 0. The classifier is sealed, has no prior, and is the same for the same file. Errors wrap schemas.ErrMalformed,
// schemas.ErrUnknownCategory, ErrNotLinear or ErrUnfit where the file is at fault.
func Import(path string, o ImportOptions) (*schemas.Classifier, error) {
	c, err := importFile(path, o)
	if err != nil {
		return nil, fmt.Errorf("importing %s: %w", path, err)
	}
	return c, nil
}

func importFile(path string, o ImportOptions) (*schemas.Classifier, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	data, err := readImport(path)
	if err != nil {
		return nil, err
	}
	l, check, err := readLinear(data, o)
	if err != nil {
		return nil, err
	}
	c, owners, err := l.classifier(o)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	c.Card = proto.CloneOf(o.Card)
	c.Training = map[string]string{ImportedFrom: filepath.Base(path), ImportedFormat: l.format, ImportedSHA256: hex.EncodeToString(sum[:])}
	if err := models.SealClassifier(c); err != nil {
		return nil, fmt.Errorf("%w: %w", schemas.ErrMalformed, err)
	}
	if check != nil {
		if err := check.compare(c, owners, o.Library); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// readImport reads a file that is not larger than any classifier.
func readImport(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxImport {
		return nil, fmt.Errorf("%w: more than %d bytes, which no linear classifier of ours needs", ErrNotLinear, maxImport)
	}
	return data, nil
}

// readLinear tells the formats apart by their first bytes.
func readLinear(data []byte, o ImportOptions) (*linear, *graphCheck, error) {
	switch {
	case len(data) == 0:
		return nil, nil, fmt.Errorf("%w: the file is empty", schemas.ErrMalformed)
	case bytes.HasPrefix(data, []byte("PK")):
		l, err := readTorch(data)
		return l, nil, err
	case bytes.HasPrefix(data, []byte("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")): // the magic number of PyTorch's old format
		return nil, nil, fmt.Errorf("%w: it is in the format that PyTorch had before 1.6: load it there with torch.load(FILE, weights_only=True) and %s", schemas.ErrMalformed, saveAgain)
	case data[0] == 0x80:
		return nil, nil, fmt.Errorf("%w: it is a bare pickle, which is not read, since it could run code: save a state_dict with torch.save, or a scikit-learn model as ONNX (package skl2onnx)", schemas.ErrMalformed)
	}
	return readGraph(data, o)
}

// classifier fits what a file holds to the encoder and the taxonomy; owners are the categories of its columns.
func (l *linear) classifier(o ImportOptions) (c *schemas.Classifier, owners []int, err error) {
	if l.dim != o.Dim {
		return nil, nil, fmt.Errorf("%w: it takes vectors of %d numbers, the encoder gives %d: name the folder of its encoder with --encoder", ErrUnfit, l.dim, o.Dim)
	}
	if l.encoder != "" && l.encoder != o.Encoder {
		return nil, nil, fmt.Errorf("%w: it is for encoder %.12s, not for %.12s: name the folder of its encoder with --encoder", ErrUnfit, l.encoder, o.Encoder)
	}
	if l.taxonomy != "" && l.taxonomy != o.Taxonomy.ID {
		return nil, nil, fmt.Errorf("%w: it is for the categories %.16s, ours are %.16s", ErrUnfit, l.taxonomy, o.Taxonomy.ID)
	}
	if owners, err = l.owners(o); err != nil {
		return nil, nil, err
	}
	n := len(o.Taxonomy.Categories)
	c = &schemas.Classifier{Encoder: o.Encoder, Taxonomy: o.Taxonomy.ID, Dim: uint32(l.dim), Categories: uint32(n), Temperature: float32(l.temperature)}
	for _, v := range l.mean {
		c.Mean = append(c.Mean, float32(v))
	}
	columns, several := make([][]row, n), false
	for i, column := range l.columns {
		columns[owners[i]] = column
	}
	for category, column := range columns {
		if column == nil {
			column = []row{{weights: make([]float64, l.dim), bias: absentBias}}
		}
		several = several || len(column) > 1
		for _, r := range column {
			c.Owners = append(c.Owners, uint32(category))
			c.Bias = append(c.Bias, float32(r.bias))
			for _, w := range r.weights {
				c.Weights = append(c.Weights, float32(w))
			}
		}
	}
	if !several {
		c.Owners = nil
	}
	return c, owners, nil
}

// Lacks returns the names of the categories that an imported classifier's file does not know.
func Lacks(c *schemas.Classifier, taxonomy *schemas.Taxonomy) []string {
	var names []string
	for r, b := range c.Bias {
		if b == absentBias {
			names = append(names, taxonomy.Categories[models.Owner(c, r)].Name)
		}
	}
	return names
}

// owners returns the category of each column.
func (l *linear) owners(o ImportOptions) ([]int, error) {
	labels := o.Labels
	if labels == nil {
		labels = l.labels
	}
	n := len(l.columns)
	if labels == nil {
		if n != len(o.Taxonomy.Categories) {
			return nil, fmt.Errorf("%w: it has %d categories and does not name them, ours are %d: name them with --categories, in the order of its rows", ErrUnfit, n, len(o.Taxonomy.Categories))
		}
		labels = o.Taxonomy.Names()
	}
	if len(labels) != n {
		return nil, fmt.Errorf("%w: %d categories are named, it has %d", ErrUnfit, len(labels), n)
	}
	owners, taken, unknown := make([]int, n), map[int]string{}, []string(nil)
	for i, label := range labels {
		category, err := o.Taxonomy.Find(label)
		if err != nil {
			unknown = append(unknown, fmt.Sprintf("%.60q", label))
			continue
		}
		if other, twice := taken[category.Index]; twice {
			return nil, fmt.Errorf("%w: %.60q and %.60q are the same category", ErrUnfit, other, label)
		}
		owners[i], taken[category.Index] = category.Index, label
	}
	if len(unknown) > 0 {
		most := min(len(unknown), len(o.Taxonomy.Categories))
		return nil, fmt.Errorf("%w: %d labels are no category's name, code or index: %s: name the categories with --categories, in the order of its rows",
			schemas.ErrUnknownCategory, len(unknown), strings.Join(unknown[:most], ", "))
	}
	return owners, nil
}
