package embed

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// Options says which encoder runs, and how.
type Options struct {
	// ModelDir is the encoder's folder. Default: encoders/e5-small-int8 among the native parts, e5-small-static with OpenVINO.
	ModelDir string
	// Library is the shared library of ONNX Runtime. Default: lib/libonnxruntime.so among the native parts, lib/openvino/libonnxruntime.so with OpenVINO.
	Library string
	// Provider is what ONNX Runtime computes with, which the library must have. Default: onnx.CPU.
	Provider onnx.Provider
	// Workers is how many sub-batches run at once. Default: one for each CPU, divided by Threads.
	Workers int
	// Threads is how many threads work on one sub-batch. More than 1 shortens a single text's time and
	// costs throughput. Default: 1.
	Threads int
	// BatchTokens bounds a sub-batch: its rows × its longest row, in tokens. A longer text runs alone.
	// Larger sub-batches leave the CPU caches and are slower. Default: 512.
	BatchTokens int
	// MaxBatch bounds the rows of a sub-batch. Default: 32.
	MaxBatch int
	// MaxTokens cuts texts to fewer tokens than the encoder's card allows, special tokens and prefix
	// included. Default: what the card says.
	MaxTokens int
	// Prompt stands before every text: one of the card's prompts by its name, or a text as it stands, such as models.VacancyInstruction for an encoder
	// that was trained with instructions. Another prompt is another encoder, with an identity of its own. Default: the card's prefix.
	Prompt string
	// CacheBytes bounds what the vectors that were used last may take, so that they are not computed again. Default: 0, none are kept.
	CacheBytes int64
}

// EnsureDefaults fills the zero fields. Paths stay empty where no native parts are found; Validate says so.
func (o *Options) EnsureDefaults() {
	if o.Provider == "" {
		o.Provider = onnx.CPU
	}
	encoder, library := models.DefaultEncoder, models.LibraryONNXRuntime
	if o.Provider == onnx.OpenVINO {
		encoder, library = models.StaticEncoder, models.LibraryOpenVINO
	}
	if native, err := models.NativeDir(); err == nil {
		if o.ModelDir == "" {
			o.ModelDir = filepath.Join(native, encoder)
		}
		if o.Library == "" {
			o.Library = filepath.Join(native, library)
		}
	}
	if o.Threads == 0 {
		o.Threads = 1
	}
	if o.Workers == 0 && o.Threads > 0 {
		o.Workers = max(1, runtime.GOMAXPROCS(0)/o.Threads)
	}
	if o.BatchTokens == 0 {
		o.BatchTokens = 512
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = 32
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
	check(o.ModelDir != "", "ModelDir is empty and %w", models.ErrNoNative)
	check(o.Library != "", "Library is empty and %w", models.ErrNoNative)
	if err := o.Provider.Validate(); err != nil {
		errs = append(errs, err)
	}
	check(o.Workers >= 1 && o.Workers <= 1024, "Workers (%d) must be 1 to 1024", o.Workers)
	check(o.Threads >= 1 && o.Threads <= 1024, "Threads (%d) must be 1 to 1024", o.Threads)
	check(o.BatchTokens >= 1 && o.BatchTokens <= 1<<20, "BatchTokens (%d) must be 1 to %d", o.BatchTokens, 1<<20)
	check(o.MaxBatch >= 1 && o.MaxBatch <= 4096, "MaxBatch (%d) must be 1 to 4096", o.MaxBatch)
	check(o.MaxTokens == 0 || o.MaxTokens >= 3, "MaxTokens (%d) must be 0 (the card's) or >= 3", o.MaxTokens)
	check(o.CacheBytes >= 0, "CacheBytes (%d) must be >= 0", o.CacheBytes)
	return errors.Join(errs...)
}
