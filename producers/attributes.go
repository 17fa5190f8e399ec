package producers

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// MaxAttribute is the longest value of an attribute, in code points: what is longer is text, not a value to count.
const MaxAttribute = 200

// The first rows of a file are read before any of it is published. A column of which uniqueValues or more are filled there, and more than uniqueShare of
// these differ, names rows (an id, a time, free text) and is no attribute: counting it says nothing, and it may tell who is who.
const (
	sampleRows   = 1000
	sampleBytes  = 16 << 20
	uniqueValues = 100
	uniqueShare  = .95
)

// attribute sets an attribute, if it can be kept. The extract stage would cut personal data out of it; here the row is refused, so that
// nobody takes what is left for a value.
func (t *table) attribute(v *schemas.Vacancy, name, value string) error {
	value = extract.Clean(value)
	if n := utf8.RuneCountInString(value); n > MaxAttribute {
		return fmt.Errorf("an attribute of %d characters, the limit is %d: leave free text out of the attributes", n, MaxAttribute)
	}
	if spans := t.personal.Find(value); len(spans) > 0 {
		return fmt.Errorf("looks like personal data (%s): leave it out of the attributes or remove it", spans[0].Kind)
	}
	if value == "" {
		return nil
	}
	if v.Attributes == nil {
		v.Attributes = map[string]string{}
	}
	v.Attributes[name] = value
	return nil
}

// row is a row of a file, a vacancy or what is wrong with it.
type row struct {
	file string
	line int
	v    *schemas.Vacancy
	err  error
}

// sample is the first rows of a file.
type sample struct {
	rows []row
	size int // bytes of text
}

// check says why nothing of the file should be published.
func (s *sample) check(uses []use, remedy string) error {
	latin, utf := 0, 0
	for _, r := range s.rows {
		if errors.Is(r.err, errNotUTF8) {
			latin++
		} else if r.v != nil && (!isASCII(r.v.Text) || !isASCII(r.v.Title)) {
			utf++
		}
	}
	// A file in another encoding would lose every vacancy with an æ, and no other.
	if latin > utf {
		return fmt.Errorf("%w vacancies: %d of the first %d rows are not UTF-8: %s", schemas.ErrMalformed, latin, len(s.rows), remedy)
	}
	var wrong []error
	for _, u := range uses {
		if u.attribute == "" {
			continue
		}
		values, filled := map[string]bool{}, 0
		for _, r := range s.rows {
			if value := r.v.GetAttributes()[u.attribute]; value != "" {
				filled++
				values[value] = true
			}
		}
		if filled >= uniqueValues && float64(len(values)) > uniqueShare*float64(filled) {
			wrong = append(wrong, fmt.Errorf("column %s is no attribute: %d of its first %d values differ, so it names rows (an id or free text): leave it out of the attributes", u.name, len(values), filled))
		}
	}
	return errors.Join(wrong...)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
