package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/extract"
	"jobstrom/pipeline/extract/gliner2"
	"jobstrom/schemas"
)

// Extraction holds the settings of what finds occupations, skills and tasks.
type Extraction struct {
	Extractor        string   `koanf:"extractor"`
	GLiNER2          string   `koanf:"gliner2"`
	GLiNER2Mode      string   `koanf:"gliner2-mode"`
	GLiNER2Precision string   `koanf:"gliner2-precision"`
	GLiNER2Labels    []string `koanf:"gliner2-labels"`
	GLiNER2Words     int      `koanf:"gliner2-words"`
	GLiNER2Overlap   int      `koanf:"gliner2-overlap"`
}

func addExtractionFlags(f *pflag.FlagSet) {
	f.String("extractor", string(extract.Rules), "what finds occupations, skills and tasks: rules, gliner2 (a model, --gliner2) or both")
	f.String("gliner2", "", "`folder` of a GLiNER2 model, as jobstrom models pull makes it")
	f.String("gliner2-mode", string(gliner2.Native), "the Python program whose answers are given: native (gliner2) or onnx (gliner2-onnx)")
	f.String("gliner2-precision", models.FP32, "precision of the model's weights: fp32 or fp16, which the folder must have")
	f.StringSlice("gliner2-labels", []string{"occupations:stillingsbetegnelser", "skills:kompetencer", "tasks:arbejdsopgaver"},
		"what the model looks for, in its words, as `[field:]name[=threshold]`: the field is occupations, skills, tasks or none, the threshold .5 if none is given")
	f.Int("gliner2-words", 384, "a longer vacancy is read in parts of so many `words`; -1 reads it at once, which takes memory by the square")
	f.Int("gliner2-overlap", 64, "`words` that two parts share")
}

// Validate reports every violation.
func (e Extraction) Validate() error {
	var wrong []error
	check := func(ok bool, format string, values ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, values...))
		}
	}
	method := extract.Method(e.Extractor)
	check(slices.Contains(extract.Methods, method), "extractor (%s) must be one of %v", e.Extractor, extract.Methods)
	check(method == extract.Rules || e.GLiNER2 != "", "extractor (%s) needs gliner2, the folder of a model: jobstrom models pull makes one", e.Extractor)
	check(slices.Contains(gliner2.Modes(), gliner2.Mode(e.GLiNER2Mode)), "gliner2-mode (%s) must be one of %v", e.GLiNER2Mode, gliner2.Modes())
	check(slices.Contains(models.Precisions(), e.GLiNER2Precision), "gliner2-precision (%s) must be one of %v", e.GLiNER2Precision, models.Precisions())
	check(e.GLiNER2Words == -1 || e.GLiNER2Words >= 16 && e.GLiNER2Words <= 1<<16, "gliner2-words (%d) must be -1 or 16 to %d", e.GLiNER2Words, 1<<16)
	check(e.GLiNER2Words == -1 || e.GLiNER2Overlap >= 1 && e.GLiNER2Overlap <= e.GLiNER2Words/2, "gliner2-overlap (%d) must be 1 to half of gliner2-words (%d)", e.GLiNER2Overlap, e.GLiNER2Words)
	check(len(e.GLiNER2Labels) > 0, "gliner2-labels must name what the model looks for")
	names := map[string]bool{}
	for _, given := range e.GLiNER2Labels {
		label, _, err := parseLabel(given)
		if err != nil {
			wrong = append(wrong, err)
		}
		check(!names[label.Name], "gliner2-labels (%s) is given twice", label.Name)
		names[label.Name] = true
	}
	return errors.Join(wrong...)
}

// parseLabel reads [field:]name[=threshold].
func parseLabel(given string) (gliner2.Label, extract.Field, error) {
	rest, field, label := given, extract.NoField, gliner2.Label{}
	fail := func(what string) (gliner2.Label, extract.Field, error) {
		return label, field, fmt.Errorf("gliner2-labels (%s) must be [field:]name[=threshold]: %s", given, what)
	}
	if before, after, ok := strings.Cut(rest, ":"); ok {
		if field, rest = extract.Field(strings.TrimSpace(before)), after; !slices.Contains(extract.Fields, field) {
			return fail(fmt.Sprintf("the field is one of %v", extract.Fields))
		}
	}
	if at := strings.LastIndexByte(rest, '='); at >= 0 {
		threshold, err := strconv.ParseFloat(strings.TrimSpace(rest[at+1:]), 32)
		if err != nil || !(threshold > 0 && threshold <= 1) {
			return fail("the threshold is above 0 and at most 1")
		}
		label.Threshold, rest = float32(threshold), rest[:at]
	}
	if label.Name = strings.TrimSpace(rest); label.Name == "" {
		return fail("the name is empty")
	}
	return label, field, nil
}

// gliner2Options returns what the settings say of the model, and its labels' fields. It computes with what the encoder computes with.
func (c Config) gliner2Options() (gliner2.Options, map[string]extract.Field) {
	o := gliner2.Options{
		Dir: c.GLiNER2, Library: c.Library, Provider: onnx.Provider(c.Provider), Threads: c.Threads, Workers: c.EmbedWorkers,
		Precision: c.GLiNER2Precision, Mode: gliner2.Mode(c.GLiNER2Mode), MaxWords: c.GLiNER2Words, Overlap: c.GLiNER2Overlap,
	}
	fields := map[string]extract.Field{}
	for _, given := range c.GLiNER2Labels {
		label, field, _ := parseLabel(given) // validated
		o.Labels, fields[label.Name] = append(o.Labels, label), field
	}
	return o, fields
}

// extractorOptions returns what the settings say, with the model open where one is used, or wanted.
func (a *app) extractorOptions(employerKey []byte, model bool) (extract.Options, error) {
	o := extract.Options{Taxonomy: schemas.Jobnet(), EmployerKey: employerKey, Attributes: a.config.Attributes, Method: extract.Method(a.config.Extractor)}
	if model || o.Method == extract.GLiNER2 || o.Method == extract.Both {
		options, fields := a.config.gliner2Options()
		var err error
		if o.GLiNER2, err = gliner2.Open(options); err != nil {
			return o, err
		}
		for _, note := range o.GLiNER2.Notes() {
			a.log.Warn("the GLiNER2 model", "folder", a.config.GLiNER2, "note", note)
		}
		o.Fields = fields
	}
	return o, nil
}

// extractor opens it. Whoever asks closes it.
func (a *app) extractor(employerKey []byte, model bool) (*extract.Extractor, error) {
	o, err := a.extractorOptions(employerKey, model)
	if err != nil {
		return nil, err
	}
	return extract.New(o)
}
