package schemas

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

//go:embed categories.json
var jobnet []byte

// Category is one of a taxonomy's.
type Category struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	// Code is the category's number at Jobnet.
	Code string `json:"code"`
	// Titles are typical job titles, most frequent first.
	Titles []string `json:"titles"`
	// Tasks say what somebody in this category does, as a vacancy would put it.
	Tasks []string `json:"tasks"`
}

// Taxonomy is a set of categories in index order.
type Taxonomy struct {
	// ID is the first 16 hexadecimal digits of the SHA-256 over the names in order: titles may grow, the meaning stays.
	ID         string
	Categories []Category

	byName map[string]int
}

// ErrUnknownCategory is wrapped by Taxonomy.Find for a label outside the taxonomy.
var ErrUnknownCategory = errors.New("unknown category")

// Jobnet returns the 22 categories of Jobnet.
func Jobnet() *Taxonomy {
	t, err := ParseTaxonomy(jobnet)
	if err != nil {
		panic("BUG: " + err.Error()) // the file is part of the binary and tested
	}
	return t
}

// ParseTaxonomy reads a categories file: a JSON array in index order. It reports every violation.
func ParseTaxonomy(data []byte) (*Taxonomy, error) {
	t := &Taxonomy{byName: map[string]int{}}
	if err := json.Unmarshal(data, &t.Categories); err != nil {
		return nil, fmt.Errorf("reading categories: %w", err)
	}
	var wrong []error
	if len(t.Categories) < 2 {
		wrong = append(wrong, fmt.Errorf("%d categories, at least 2 are needed", len(t.Categories)))
	}
	hash := sha256.New()
	for i, c := range t.Categories {
		if c.Index != i {
			wrong = append(wrong, fmt.Errorf("category %q has index %d, its place is %d", c.Name, c.Index, i))
		}
		for _, key := range []string{fold(c.Name), fold(c.Code)} {
			if other, taken := t.byName[key]; taken || key == "" {
				wrong = append(wrong, fmt.Errorf("category %d: name or code %q is empty or that of category %d", i, key, other))
			}
			t.byName[key] = i
		}
		fmt.Fprintf(hash, "%d:%s\n", i, c.Name)
	}
	t.ID = hex.EncodeToString(hash.Sum(nil))[:16]
	if err := errors.Join(wrong...); err != nil {
		return nil, fmt.Errorf("reading categories: %w", err)
	}
	return t, nil
}

// Find returns the category with this name, code or index; case and surrounding space do not matter.
func (t *Taxonomy) Find(label string) (Category, error) {
	if i, ok := t.byName[fold(label)]; ok {
		return t.Categories[i], nil
	}
	if i, err := strconv.Atoi(strings.TrimSpace(label)); err == nil && i >= 0 && i < len(t.Categories) {
		return t.Categories[i], nil
	}
	return Category{}, fmt.Errorf("%w %.60q: use one of the %d names or codes in schemas/categories.json", ErrUnknownCategory, label, len(t.Categories))
}

// Names returns the categories' names in index order.
func (t *Taxonomy) Names() []string {
	names := make([]string, len(t.Categories))
	for i, c := range t.Categories {
		names[i] = c.Name
	}
	return names
}

func fold(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }
