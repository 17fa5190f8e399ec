package models

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// CardFile is the name of the card inside an encoder's folder.
const CardFile = "card.json"

// How the vectors of the tokens that are not padding become one vector, in the names of sentence-transformers' Pooling.
const (
	// PoolingMean is their mean.
	PoolingMean = "mean"
	// PoolingCLS is the first one.
	PoolingCLS = "cls"
	// PoolingLastToken is the last one.
	PoolingLastToken = "last_token"
	// PoolingWeightedMean is their mean with the weights 1, 2, 3, ….
	PoolingWeightedMean = "weighted_mean"
	// PoolingMax is the greatest of each component.
	PoolingMax = "max"
)

// Poolings returns every way of pooling.
func Poolings() []string {
	return []string{PoolingMean, PoolingCLS, PoolingLastToken, PoolingWeightedMean, PoolingMax}
}

// remedy ends every error about an encoder's files.
const remedy = "make it again with `make setup`, `make openvino` for OpenVINO, or `jobstrom convert`"

// File is a file of a model's folder and what it must hash to.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Recipe names a conversion. The same recipe over the same weights gives the same bytes.
type Recipe struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Graph   string `json:"graph"`
	// Settings is the hex SHA-256 of all that decides a vector beside the weights, see EncoderCard.Settings. It is empty where name, version and graph say it all.
	Settings string `json:"settings,omitempty"`
}

// EncoderCard is an encoder's metadata, card.json in its folder.
type EncoderCard struct {
	Name string `json:"name"`
	// ID is the encoder's identity: hex SHA-256 over the source weights and the recipe, see EncoderID.
	ID           string `json:"id"`
	Source       string `json:"source"`
	SourceSHA256 string `json:"source_sha256"`
	Recipe       Recipe `json:"recipe"`
	Licence      string `json:"licence"`

	// Dim is the number of components of a vector.
	Dim int `json:"dim"`
	// MaxTokens is the longest input, special tokens and prefix included.
	MaxTokens int `json:"max_tokens"`
	// Prefix stands before every text, as the encoder was trained.
	Prefix string `json:"prefix"`
	// PadID is the token that fills the shorter rows of a batch.
	PadID int64 `json:"pad_id"`
	// Pooling says how token vectors become one vector.
	Pooling string `json:"pooling"`
	// Normalize says whether vectors have length 1.
	Normalize bool `json:"normalize"`
	// Output is the graph's output tensor: [rows, dim] where the graph pools, else [rows, tokens, dim].
	Output string `json:"output"`
	// GraphPools says that the graph does the pooling and the normalisation itself.
	GraphPools bool `json:"graph_pools"`

	// TokenTypes says that the graph takes token_type_ids.
	TokenTypes bool `json:"token_types,omitempty"`
	// FirstPosition is the position of the first token; nil where the graph takes no position_ids.
	FirstPosition *int64 `json:"first_position,omitempty"`
	// PadLeft fills shorter rows on the left, CutLeft takes from the left what is too long. Else both are on the right.
	PadLeft bool `json:"pad_left,omitempty"`
	CutLeft bool `json:"cut_left,omitempty"`
	// Lowercase says that texts are put into lower case before all else the tokenizer does.
	Lowercase bool `json:"lowercase,omitempty"`
	// TokenizerCuts says that the tokenizer's file cuts or pads by itself, which loading must take out.
	TokenizerCuts bool `json:"tokenizer_cuts,omitempty"`
	// Dense are the layers after the pooling, in their order. The first one's In is then the number of components that the graph gives.
	Dense []Dense `json:"dense,omitempty"`
	// Prompts are the prefixes that the encoder knows by name, see WithPrompt.
	Prompts map[string]string `json:"prompts,omitempty"`
	// Notes say what was assumed when the card was made.
	Notes []string `json:"notes,omitempty"`

	Graph     File `json:"graph"`
	Tokenizer File `json:"tokenizer"`
	// External are the files beside the graph that hold its weights; the graph names them.
	External []File `json:"external,omitempty"`
}

// EncoderID computes an encoder's identity from the SHA-256 of its source weights (hex) and its recipe.
func EncoderID(sourceSHA256 string, r Recipe) string {
	b := fmt.Appendf(nil, "%s\n%s\n%d\n%s\n", sourceSHA256, r.Name, r.Version, r.Graph)
	if r.Settings != "" {
		b = fmt.Appendf(b, "%s\n", r.Settings)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Settings returns the hex SHA-256 of all on the card that decides a vector: the files' hashes and how they are used. Names do not count.
func (c EncoderCard) Settings() string {
	hashes := []string{c.Graph.SHA256, c.Tokenizer.SHA256}
	for _, f := range c.External {
		hashes = append(hashes, f.SHA256)
	}
	dense := make([]Dense, len(c.Dense))
	for i, d := range c.Dense {
		d.File.Name = ""
		dense[i] = d
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode([]any{
		hashes, dense, c.Dim, c.MaxTokens, c.Prefix, c.PadID, c.Pooling, c.Normalize, c.Output, c.GraphPools,
		c.TokenTypes, c.FirstPosition, c.PadLeft, c.CutLeft, c.Lowercase, c.TokenizerCuts,
	}); err != nil {
		return "" // numbers and texts have a JSON form
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

// Identified returns the card with the settings and the identity that follow from its other fields.
func (c EncoderCard) Identified() EncoderCard {
	c.Recipe.Settings = c.Settings()
	c.ID = EncoderID(c.SourceSHA256, c.Recipe)
	return c
}

// GraphDim returns the number of components that the graph gives, before the dense layers.
func (c EncoderCard) GraphDim() int {
	if len(c.Dense) > 0 {
		return c.Dense[0].In
	}
	return c.Dim
}

// namedFile is a file of the card and which field names it.
type namedFile struct {
	field string
	File
}

// files returns all files of the card.
func (c EncoderCard) files() []namedFile {
	files := []namedFile{{"graph", c.Graph}, {"tokenizer", c.Tokenizer}}
	for i, f := range c.External {
		files = append(files, namedFile{fmt.Sprintf("external[%d]", i), f})
	}
	for i, d := range c.Dense {
		files = append(files, namedFile{fmt.Sprintf("dense[%d].file", i), d.File})
	}
	return files
}

// ReadEncoderCard reads and validates the card of an encoder's folder.
func ReadEncoderCard(dir string) (EncoderCard, error) {
	path, data, err := readCard(dir, "encoder", remedy)
	if err != nil {
		return EncoderCard{}, err
	}
	var kind struct{ Kind string }
	if err := json.Unmarshal(data, &kind); err == nil && kind.Kind == ExtractorGLiNER2 {
		return EncoderCard{}, fmt.Errorf("reading encoder card: %s is that of an extractor: name it with --gliner2, and an encoder with --encoder", path)
	}
	return parseCard[EncoderCard](path, data, "encoder", remedy)
}

// WriteEncoderCard validates the card and writes it into an encoder's folder.
func WriteEncoderCard(dir string, c EncoderCard) error { return writeCard(dir, "encoder", c) }

// modelCard is what folders of models have: an encoder's or an extractor's.
type modelCard interface{ Validate() error }

// readCard reads the file of a card. What model it is of, and what to do about an error, is for the error.
func readCard(dir, model, remedy string) (path string, data []byte, err error) {
	path = filepath.Join(dir, CardFile)
	data, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil, fmt.Errorf("reading %s card: %s is missing; %s: %w", model, path, remedy, err)
	}
	if err != nil {
		return path, nil, fmt.Errorf("reading %s card: %w", model, err)
	}
	return path, data, nil
}

// parseCard reads and validates what readCard read.
func parseCard[C modelCard](path string, data []byte, model, remedy string) (C, error) {
	var c, none C
	err := json.Unmarshal(data, &c)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return none, fmt.Errorf("reading %s card %s: %w; %s", model, path, err, remedy)
	}
	return c, nil
}

// writeCard validates a card and writes it into a model's folder.
func writeCard(dir, model string, c modelCard) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("writing %s card: %w", model, err)
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s card: %w", model, err)
	}
	if err := os.WriteFile(filepath.Join(dir, CardFile), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing %s card: %w", model, err)
	}
	return nil
}

var hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Validate reports every violation of the card at once.
func (c EncoderCard) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Name != "", "name is empty")
	check(hexSHA256.MatchString(c.SourceSHA256), "source_sha256 (%q) must be 64 hex digits", c.SourceSHA256)
	want := EncoderID(c.SourceSHA256, c.Recipe)
	check(c.ID == want, "id (%q) must be %q, the hash of source_sha256 and recipe", c.ID, want)
	check(c.Dim > 0, "dim (%d) must be > 0", c.Dim)
	check(c.MaxTokens >= 3, "max_tokens (%d) must be >= 3: two special tokens and one of text", c.MaxTokens)
	check(c.PadID >= 0, "pad_id (%d) must be >= 0", c.PadID)
	check(slices.Contains(Poolings(), c.Pooling), "pooling (%q) must be one of %q", c.Pooling, Poolings())
	check(c.Output != "", "output is empty")
	check(c.Recipe.Settings == "" || c.Recipe.Settings == c.Settings(), "recipe.settings (%q) must be %q, the hash of what decides a vector", c.Recipe.Settings, c.Settings())
	check(c.FirstPosition == nil || *c.FirstPosition >= 0 && *c.FirstPosition <= 1<<20, "first_position must be 0 to %d", 1<<20)
	check(!c.GraphPools || len(c.Dense) == 0, "dense has %d layers, but graph_pools says that the graph computes them itself", len(c.Dense))
	for i, d := range c.Dense {
		errs = append(errs, d.validate(fmt.Sprintf("dense[%d]", i))...)
		if i > 0 {
			check(d.In == c.Dense[i-1].Out, "dense[%d].in (%d) must be %d, the layer before gives so many", i, d.In, c.Dense[i-1].Out)
		}
	}
	if n := len(c.Dense); n > 0 {
		check(c.Dense[n-1].Out == c.Dim, "dim (%d) must be %d, the last dense layer gives so many", c.Dim, c.Dense[n-1].Out)
	}
	names := map[string]bool{}
	for _, f := range c.files() {
		errs = append(errs, f.validate()...)
		check(!names[f.Name], "%s.name (%q) is another file's as well", f.field, f.Name)
		names[f.Name] = true
	}
	return errors.Join(errs...)
}

// validate reports what is wrong with the name and the hash of a file.
func (f namedFile) validate() (errs []error) {
	if !fs.ValidPath(f.Name) || f.Name == "." || strings.Contains(f.Name, `\`) {
		errs = append(errs, fmt.Errorf("%s.name (%q) must be a path inside the folder, with / between its parts", f.field, f.Name))
	}
	if !hexSHA256.MatchString(f.SHA256) {
		errs = append(errs, fmt.Errorf("%s.sha256 (%q) must be 64 hex digits", f.field, f.SHA256))
	}
	return errs
}

// Verify compares the files of an encoder's folder with their hashes on the card. It reads every byte.
func (c EncoderCard) Verify(dir string) error { return c.verify(dir, c.files()) }

// VerifyTokenizer is Verify for the tokenizer alone.
func (c EncoderCard) VerifyTokenizer(dir string) error {
	return c.verify(dir, []namedFile{{"tokenizer", c.Tokenizer}})
}

// VerifyWeights is Verify for all but the tokenizer.
func (c EncoderCard) VerifyWeights(dir string) error {
	return c.verify(dir, slices.DeleteFunc(c.files(), func(f namedFile) bool { return f.field == "tokenizer" }))
}

func (c EncoderCard) verify(dir string, named []namedFile) error {
	files := make([]File, len(named))
	for i, f := range named {
		files[i] = f.File
	}
	return verifyFiles(dir, "encoder "+c.Name, remedy, files)
}

// verifyFiles compares files of a model's folder with their hashes.
func verifyFiles(dir, model, remedy string, files []File) error {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		got, err := HashFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("verifying %s: %s is missing; %s: %w", model, path, remedy, err)
		}
		if err != nil {
			return fmt.Errorf("verifying %s: %w", model, err)
		}
		if got != f.SHA256 {
			return fmt.Errorf("verifying %s: %s is corrupt: SHA-256 %s, expected %s; %s", model, path, got, f.SHA256, remedy)
		}
	}
	return nil
}

// Verify reads the card of an encoder's folder and verifies the folder's files against it.
func Verify(dir string) (EncoderCard, error) {
	c, err := ReadEncoderCard(dir)
	if err != nil {
		return EncoderCard{}, err
	}
	return c, c.Verify(dir)
}

// HashFile returns the hex SHA-256 of a file.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
