package repository

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Options says what the repository's files do not.
type Options struct {
	// Name is the encoder's, as intfloat/multilingual-e5-large-instruct. Default: the folder's.
	Name string
	// Source says where the files come from, with the revision. Default: Name.
	Source string
	// Licence of the weights.
	Licence string
	// Graph is the ONNX file, relative to the folder. Default: onnx/model.onnx, model.onnx, or the only .onnx file in one of the two places.
	Graph string
	// Prompt stands before every text: one of the repository's prompts by its name, or a text. Default: the repository's default prompt.
	Prompt string
	// MaxTokens cuts texts to fewer tokens than the repository allows. Default: what the repository says.
	MaxTokens int
}

// EnsureDefaults fills the fields that follow from the folder.
func (o *Options) EnsureDefaults(dir string) {
	if o.Name == "" {
		if path, err := filepath.Abs(dir); err == nil {
			o.Name = filepath.Base(path)
		}
	}
	if o.Source == "" {
		o.Source = o.Name
	}
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Name != "", "Name is empty")
	check(o.MaxTokens == 0 || o.MaxTokens >= 3 && o.MaxTokens <= maxTokens, "MaxTokens (%d) must be 0 (the repository's) or 3 to %d", o.MaxTokens, maxTokens)
	check(o.Graph == "" || fs.ValidPath(o.Graph) && strings.HasSuffix(o.Graph, ".onnx"), "Graph (%q) must be the path of a .onnx file inside the folder, with / between its parts", o.Graph)
	return errors.Join(errs...)
}
