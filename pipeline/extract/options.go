package extract

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"jobstrom/pipeline/extract/gliner2"
	"jobstrom/schemas"
)

// Method says what finds entities.
type Method string

// The methods. Both is the union of the two, GLiNER2's first.
const (
	Rules   Method = "rules"
	GLiNER2 Method = "gliner2"
	Both    Method = "both"
)

// Methods are all of them.
var Methods = []Method{Rules, GLiNER2, Both}

// Field is the list of an extraction that an entity goes into. The rules' labels have the fields' names.
type Field string

// The fields. An entity of a label with NoField is in no list; it is an entity, and a part of the encoder's text.
const (
	Occupations Field = "occupations"
	Skills      Field = "skills"
	Tasks       Field = "tasks"
	NoField     Field = ""
)

// Fields are the lists of an extraction.
var Fields = []Field{Occupations, Skills, Tasks}

// Options say how an Extractor works.
type Options struct {
	// Taxonomy gives the lexicon of job titles. Default: Jobnet's.
	Taxonomy *schemas.Taxonomy
	// EmployerKey is the key of the employer's hash; empty: no hash.
	EmployerKey []byte
	// Attributes are the names of the attributes that are kept, scrubbed. Default: none.
	Attributes []string
	// MinLength is the fewest code points that must be extracted, in [1, 900]. Default: 10.
	MinLength int
	// Method says what finds entities. Default: Rules.
	Method Method
	// GLiNER2 is the model, which Close closes. GLiNER2 and Both need it, and so does Classify.
	GLiNER2 *gliner2.Model
	// Fields give the model's labels, by name, their fields; a label that is not named has none.
	Fields map[string]Field
}

// EnsureDefaults fills what is not set.
func (o *Options) EnsureDefaults() {
	if o.Taxonomy == nil {
		o.Taxonomy = schemas.Jobnet()
	}
	if o.MinLength == 0 {
		o.MinLength = 10
	}
	if o.Method == "" {
		o.Method = Rules
	}
}

// Validate reports every violation.
func (o *Options) Validate() error {
	var wrong []error
	if o.Taxonomy == nil {
		wrong = append(wrong, errors.New("option Taxonomy is missing: use schemas.Jobnet()"))
	}
	if o.MinLength < 1 || o.MinLength > maxText {
		wrong = append(wrong, fmt.Errorf("option MinLength (%d) must be in [1, %d]", o.MinLength, maxText))
	}
	for i, name := range o.Attributes {
		if strings.TrimSpace(name) == "" {
			wrong = append(wrong, fmt.Errorf("option Attributes[%d] is empty, must be an attribute's name", i))
		}
	}
	if !slices.Contains(Methods, o.Method) {
		wrong = append(wrong, fmt.Errorf("option Method (%s) must be one of %v", o.Method, Methods))
	}
	if o.GLiNER2 == nil && (o.Method == GLiNER2 || o.Method == Both) {
		wrong = append(wrong, fmt.Errorf("option Method (%s) needs GLiNER2, an open model", o.Method))
	}
	for label, field := range o.Fields {
		if field != NoField && !slices.Contains(Fields, field) {
			wrong = append(wrong, fmt.Errorf("option Fields[%s] (%s) must be one of %v", label, field, Fields))
		}
		if o.GLiNER2 != nil && !slices.ContainsFunc(o.GLiNER2.Labels(), func(l gliner2.Label) bool { return l.Name == label }) {
			wrong = append(wrong, fmt.Errorf("option Fields[%s] must name a label of the model", label))
		}
	}
	return errors.Join(wrong...)
}
