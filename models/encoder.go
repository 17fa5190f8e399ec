package models

import (
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
	"strings"
)

// CardFile is the name of the card inside an encoder's folder.
const CardFile = "card.json"

// PoolingMean is the mean of the token vectors over the tokens that are not padding.
const PoolingMean = "mean"

// remedy ends every error about an encoder's files.
const remedy = "make it again with `make setup` or `jobstrom convert`"

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

	Graph     File `json:"graph"`
	Tokenizer File `json:"tokenizer"`
}

// EncoderID computes an encoder's identity from the SHA-256 of its source weights (hex) and its recipe.
func EncoderID(sourceSHA256 string, r Recipe) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%s\n", sourceSHA256, r.Name, r.Version, r.Graph))
	return hex.EncodeToString(sum[:])
}

// ReadEncoderCard reads and validates the card of an encoder's folder.
func ReadEncoderCard(dir string) (EncoderCard, error) {
	path := filepath.Join(dir, CardFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return EncoderCard{}, fmt.Errorf("reading encoder card: %s is missing; %s: %w", path, remedy, err)
	}
	if err != nil {
		return EncoderCard{}, fmt.Errorf("reading encoder card: %w", err)
	}
	var c EncoderCard
	if err := json.Unmarshal(data, &c); err != nil {
		return EncoderCard{}, fmt.Errorf("reading encoder card %s: %w; %s", path, err, remedy)
	}
	if err := c.Validate(); err != nil {
		return EncoderCard{}, fmt.Errorf("reading encoder card %s: %w; %s", path, err, remedy)
	}
	return c, nil
}

// WriteEncoderCard validates the card and writes it into an encoder's folder.
func WriteEncoderCard(dir string, c EncoderCard) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("writing encoder card: %w", err)
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("writing encoder card: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, CardFile), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing encoder card: %w", err)
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
	check(c.Pooling == PoolingMean, "pooling (%q) must be %q", c.Pooling, PoolingMean)
	check(c.Output != "", "output is empty")
	for _, f := range []struct {
		what string
		File
	}{{"graph", c.Graph}, {"tokenizer", c.Tokenizer}} {
		check(f.Name != "" && !strings.ContainsAny(f.Name, `/\`) && f.Name != "..", "%s.name (%q) must be a file name without a folder", f.what, f.Name)
		check(hexSHA256.MatchString(f.SHA256), "%s.sha256 (%q) must be 64 hex digits", f.what, f.SHA256)
	}
	return errors.Join(errs...)
}

// Verify compares the files of an encoder's folder with their hashes on the card. It reads every byte.
func (c EncoderCard) Verify(dir string) error {
	for _, f := range []File{c.Graph, c.Tokenizer} {
		path := filepath.Join(dir, f.Name)
		got, err := hashFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("verifying encoder %s: %s is missing; %s: %w", c.Name, path, remedy, err)
		}
		if err != nil {
			return fmt.Errorf("verifying encoder %s: %w", c.Name, err)
		}
		if got != f.SHA256 {
			return fmt.Errorf("verifying encoder %s: %s is corrupt: SHA-256 %s, expected %s; %s", c.Name, path, got, f.SHA256, remedy)
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

func hashFile(path string) (string, error) {
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
