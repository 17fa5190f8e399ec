package producers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// Fields are what of a vacancy a column can hold, in the order of their description.
var Fields = []string{"id", "title", "text", "employer", "source", "category", "published_at"}

// Mapping says what becomes of a column.
type Mapping struct {
	Column string   `json:"column"`
	Uses   []string `json:"uses"` // fields, and attributes as "attribute NAME"; none: it is not published
}

var (
	errNotUTF8 = errors.New("not UTF-8")
	errNUL     = errors.New("holds a NUL byte")
	errEmpty   = errors.New("is empty, and a vacancy without its date belongs to no window")
)

// columnError is what is wrong with a column of one row. It never quotes the value.
type columnError struct {
	column string
	err    error
}

func (e *columnError) Error() string {
	return fmt.Sprintf("%v vacancy: column %s: %v", schemas.ErrMalformed, e.column, e.err)
}

func (e *columnError) Unwrap() []error { return []error{schemas.ErrMalformed, e.err} }

// use is one use of a column.
type use struct {
	column    int
	name      string // the column's
	field     string // one of Fields, or empty
	attribute string
}

// table makes vacancies of the rows of one file.
type table struct {
	name     string
	o        *ReadOptions
	folder   bool   // the text comes from files of their own
	remedy   string // for what is not UTF-8
	uses     []use
	personal *extract.Scrubber // nil where no attribute is used
	sample   *sample           // nil when it has been looked at
	told     bool              // what categories there are
	rows     int
	f        func(line int, v *schemas.Vacancy) error
	bad      func(*BadLine)
}

// header says how the columns are used, or everything that is wrong with them.
func (t *table) header(columns []string) error {
	named := map[string]int{} // how often
	index := map[string]int{}
	for i := range columns {
		columns[i] = strings.TrimSpace(strings.TrimPrefix(columns[i], "\ufeff"))
		name := strings.ToLower(columns[i])
		named[name]++
		index[name] = i
	}
	var wrong []error
	add := func(u use, column string, must bool) {
		column = strings.ToLower(strings.TrimSpace(column))
		switch named[column] {
		case 0:
			if must {
				wrong = append(wrong, fmt.Errorf("it has no column %s for %s", column, cmp.Or(u.field, "attribute "+u.attribute)))
			}
		case 1:
			u.column, u.name = index[column], columns[index[column]]
			t.uses = append(t.uses, u)
		default:
			wrong = append(wrong, fmt.Errorf("column %s stands there %d times: rename all but one", column, named[column]))
		}
	}
	claimed := map[string]bool{}
	for _, column := range t.o.Columns {
		claimed[strings.ToLower(strings.TrimSpace(column))] = true
	}
	for _, field := range Fields {
		if field == "text" && t.folder {
			continue
		}
		column, given := t.o.Columns[field]
		if !given && !claimed[field] {
			column = field
		}
		if column != "" {
			add(use{field: field}, column, given || field == "text")
		} else if field == "text" {
			wrong = append(wrong, errors.New("column text is another field's: name that of the text, too"))
		}
	}
	for _, name := range t.o.Attributes {
		add(use{attribute: name}, name, !t.o.AttributesMayLack)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w; %s", errors.Join(wrong...), listColumns(columns))
	}
	if slices.ContainsFunc(t.uses, func(u use) bool { return u.attribute != "" }) {
		t.personal = extract.NewScrubber()
	}
	t.sample = &sample{}
	if t.o.Mapped != nil {
		t.o.Mapped(t.name, t.mapping(columns))
	}
	return nil
}

func (t *table) mapping(columns []string) []Mapping {
	all := make([]Mapping, len(columns))
	for i, name := range columns {
		all[i] = Mapping{Column: name, Uses: []string{}}
	}
	for _, u := range t.uses {
		all[u.column].Uses = append(all[u.column].Uses, cmp.Or(u.field, "attribute "+u.attribute))
	}
	return all
}

// listColumns names the columns of a file, but not the values of one that has no header.
func listColumns(columns []string) string {
	scrubber, personal := extract.NewScrubber(), 0
	var names []string
	for _, name := range columns {
		if len(name) > 60 || !utf8.ValidString(name) || len(scrubber.Find(name)) > 0 {
			personal++
		} else if name != "" {
			names = append(names, name)
		}
	}
	said := "its columns are " + strings.Join(names, ", ")
	if personal > 0 {
		said += fmt.Sprintf(" and %d that look like values: has it a header?", personal)
	}
	return said
}

// fill sets what the values of a row say; there is one for each column.
func (t *table) fill(v *schemas.Vacancy, values []string) error {
	for _, u := range t.uses {
		value := values[u.column]
		var err error
		switch {
		case !utf8.ValidString(value):
			err = errNotUTF8
		case strings.ContainsRune(value, 0):
			err = errNUL
		case strings.TrimSpace(value) == "":
			if _, given := t.o.Columns["published_at"]; given && u.field == "published_at" {
				err = errEmpty
			}
		case u.field != "":
			err = t.set(v, u.field, value)
		default:
			err = t.attribute(v, u.attribute, value)
		}
		if err != nil {
			return &columnError{u.name, err}
		}
	}
	return nil
}

func (t *table) set(v *schemas.Vacancy, field, value string) error {
	switch field {
	case "id":
		v.Id = value
	case "title":
		v.Title = value
	case "text":
		v.Text = value
	case "employer":
		v.Employer = value
	case "source":
		v.Source = value
	case "category":
		return t.category(v, value)
	case "published_at":
		published, err := parseDate(value)
		v.PublishedAt = schemas.Time(published)
		return err
	}
	return nil
}

// category sets a category by the user's own name or the taxonomy's. What is neither is not quoted: in a mixed-up file it is somebody's name.
func (t *table) category(v *schemas.Vacancy, value string) error {
	if category, ok := t.o.Categories[foldCategory(value)]; ok {
		v.Category = category
		return nil
	}
	if t.o.Taxonomy == nil {
		v.Category = value
		return nil
	}
	category, err := t.o.Taxonomy.Find(value)
	if err == nil {
		v.Category = category.Name
		return nil
	}
	if t.told {
		return fmt.Errorf("%w: map it with --category-map", schemas.ErrUnknownCategory)
	}
	t.told = true
	return fmt.Errorf("%w: use a name, a code or an index of these, or map it with --category-map: %s", schemas.ErrUnknownCategory, strings.Join(t.o.Taxonomy.Names(), "; "))
}

// row takes one row, which is err's where that is not nil.
func (t *table) row(file string, line int, v *schemas.Vacancy, err error) error {
	t.rows++
	if err == nil {
		err = v.Normalize()
	}
	if err == nil && t.o.Dated && v.PublishedAt == nil {
		err = fmt.Errorf("%w vacancy: published_at is missing", schemas.ErrMalformed)
	}
	if t.sample == nil {
		return t.deliver(row{file, line, v, err})
	}
	t.sample.rows = append(t.sample.rows, row{file, line, v, err})
	if t.sample.size += len(v.GetText()); len(t.sample.rows) < sampleRows && t.sample.size < sampleBytes {
		return nil
	}
	return t.end()
}

// end looks at the sample, when it has not been looked at, and hands it on.
func (t *table) end() error {
	if t.sample == nil {
		return nil
	}
	s := t.sample
	t.sample = nil
	if err := s.check(t.uses, t.remedy); err != nil {
		return err
	}
	for _, r := range s.rows {
		if err := t.deliver(r); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) deliver(r row) error {
	if r.err != nil {
		if errors.Is(r.err, errNotUTF8) {
			r.err = fmt.Errorf("%w: %s", r.err, t.remedy)
		}
		t.bad(&BadLine{r.file, r.line, r.err})
		return nil
	}
	return t.f(r.line, r.v)
}
