package gliner2

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// Mode says which of the two reference programs is followed.
type Mode string

const (
	// Native is gliner2 1.2.4 on PyTorch (GLiNER2.extract_entities): a text ends in a full stop, which is added where it lacks one; the model may say that
	// there is nothing (count_pred); of a label's repeats the best stays; entities come by label, then by score.
	Native Mode = "native"
	// ONNX is gliner2-onnx 0.1.1 (GLiNER2ONNXRuntime.extract_entities): the text as it stands, every span that is good enough and overlaps none of its label, by score.
	ONNX Mode = "onnx"
)

// Modes lists them, the default first.
func Modes() []Mode { return []Mode{Native, ONNX} }

// Label is what is looked for.
type Label struct {
	// Name is what the model reads, in plain words of any language. Capitals count.
	Name string
	// Threshold is the lowest score that is kept, 0 to 1. Default: .5.
	Threshold float32
	// Description, in the mode native, tells the model more about the label.
	Description string
}

// DefaultLabels are those of the reference system: occupation, skills and tasks.
func DefaultLabels() []Label {
	return []Label{{Name: "stillingsbetegnelser"}, {Name: "kompetencer"}, {Name: "arbejdsopgaver"}}
}

// Options says which model runs, and how.
type Options struct {
	// Dir is the model's folder, with its card. There is no default.
	Dir string
	// Library is the shared library of ONNX Runtime. Default: lib/libonnxruntime.so among the native parts.
	Library string
	// Provider is what ONNX Runtime computes with, which the library must have. Default: onnx.CPU.
	Provider onnx.Provider
	// Threads is how many threads work on one run. Default: 1.
	Threads int
	// Workers is how many runs overlap. Default: one for each CPU, divided by Threads.
	Workers int
	// Precision of the weights: fp32 or fp16. Default: fp32.
	Precision string
	// Mode is the reference program that is followed. Default: Native.
	Mode Mode
	// Labels are looked for, in this order. Default: DefaultLabels.
	Labels []Label
	// MaxWords is the longest text that is read at once, in words; a longer one is read in chunks of as many words at most. -1: any text is read at once, for
	// which memory grows with its square. Default: 384.
	MaxWords int
	// Overlap is how many words two chunks share, so that what lies at an edge is seen with what is around it. -1: as many as the widest entity has. Default: 64.
	Overlap int
	// BatchTokens bounds a run: its rows × its longest row, in tokens. A longer row runs alone. Larger runs leave the CPU caches and are slower. Default: 512.
	BatchTokens int
}

// EnsureDefaults fills the zero fields. Library stays empty where no native parts are found; Validate says so.
func (o *Options) EnsureDefaults() {
	if o.Provider == "" {
		o.Provider = onnx.CPU
	}
	if o.Library == "" {
		library := models.LibraryONNXRuntime
		if o.Provider == onnx.OpenVINO {
			library = models.LibraryOpenVINO
		}
		if native, err := models.NativeDir(); err == nil {
			o.Library = filepath.Join(native, library)
		}
	}
	if o.Threads == 0 {
		o.Threads = 1
	}
	if o.Workers == 0 && o.Threads > 0 {
		o.Workers = max(1, runtime.GOMAXPROCS(0)/o.Threads)
	}
	if o.Precision == "" {
		o.Precision = models.FP32
	}
	if o.Mode == "" {
		o.Mode = Native
	}
	if len(o.Labels) == 0 {
		o.Labels = DefaultLabels()
	}
	o.Labels = slices.Clone(o.Labels)
	for i := range o.Labels {
		if o.Labels[i].Threshold == 0 {
			o.Labels[i].Threshold = .5
		}
	}
	if o.MaxWords == 0 {
		o.MaxWords = 384
	}
	if o.Overlap == 0 {
		o.Overlap = 64
	}
	if o.BatchTokens == 0 {
		o.BatchTokens = 512
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
	check(o.Dir != "", "Dir is empty: name the model's folder, which `jobstrom models pull` or `jobstrom models export-gliner2` makes")
	check(o.Library != "", "Library is empty and %w", models.ErrNoNative)
	if err := o.Provider.Validate(); err != nil {
		errs = append(errs, err)
	}
	check(o.Threads >= 1 && o.Threads <= 1024, "Threads (%d) must be 1 to 1024", o.Threads)
	check(o.Workers >= 1 && o.Workers <= 1024, "Workers (%d) must be 1 to 1024", o.Workers)
	check(slices.Contains(models.Precisions(), o.Precision), "Precision (%q) must be one of %q", o.Precision, models.Precisions())
	check(slices.Contains(Modes(), o.Mode), "Mode (%q) must be one of %q", o.Mode, Modes())
	check(len(o.Labels) > 0, "Labels is empty")
	names := map[string]bool{}
	for i, l := range o.Labels {
		errs = append(errs, checkLabel(fmt.Sprintf("Labels[%d]", i), l.Name, names))
		check(l.Threshold >= 0 && l.Threshold <= 1, "Labels[%d].Threshold (%g) must be 0 to 1", i, l.Threshold)
		check(l.Description == "" || o.Mode == Native, "Labels[%d].Description is for the mode %s: the mode %s has none", i, Native, o.Mode)
		check(!holdsToken(l.Description), "Labels[%d].Description (%.80q) must not hold a token of the prompt, such as %s", i, l.Description, models.TokenTask)
	}
	check(o.MaxWords == -1 || o.MaxWords >= 16 && o.MaxWords <= 1<<16, "MaxWords (%d) must be -1 (no limit) or 16 to %d", o.MaxWords, 1<<16)
	check(o.MaxWords < 0 || o.Overlap >= -1 && o.Overlap <= o.MaxWords/2, "Overlap (%d) must be -1 (the least) or at most half of MaxWords (%d)", o.Overlap, o.MaxWords)
	check(o.BatchTokens >= 1 && o.BatchTokens <= 1<<20, "BatchTokens (%d) must be 1 to %d", o.BatchTokens, 1<<20)
	return errors.Join(errs...)
}

// checkLabel says what is wrong with a label's name; names are those before it.
func checkLabel(field, name string, names map[string]bool) error {
	before := names[name]
	names[name] = true
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("%s: the name is empty", field)
	case len(name) > 1000:
		return fmt.Errorf("%s: the name has %d bytes, more than 1000", field, len(name))
	case holdsToken(name):
		return fmt.Errorf("%s: the name (%.80q) must not hold a token of the prompt, such as %s", field, name, models.TokenTask)
	case before:
		return fmt.Errorf("%s: the name (%.80q) is another label's as well", field, name)
	}
	return nil
}

// holdsToken tells a text that would be read as more than text. The tokens are those that GLiNER2's SchemaTransformer adds.
func holdsToken(text string) bool {
	for _, token := range []string{"[SEP_STRUCT]", "[SEP_TEXT]", "[P]", "[C]", "[E]", "[R]", "[L]", "[EXAMPLE]", "[OUTPUT]", "[DESCRIPTION]"} {
		if strings.Contains(text, token) {
			return true
		}
	}
	return false
}
