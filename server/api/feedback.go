package api

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"jobstrom/schemas"
)

// Feedback is the category that a person says a vacancy has.
type Feedback struct {
	ID string
	// Category is a name, code or index.
	Category string
	// By says who, for the label's source; empty is api.
	By string
}

// maxBy bounds what a label says of who gave it, in bytes.
const maxBy = 100

// Feedback publishes a person's label and returns it when Kafka has it.
func (s *Service) Feedback(ctx context.Context, f Feedback) (*Label, error) {
	if s.Label == nil {
		return nil, noKafka("labels cannot be kept")
	}
	switch {
	case strings.TrimSpace(f.ID) == "":
		return nil, invalid("id is missing or empty")
	case len(f.ID) > schemas.MaxID:
		return nil, invalid("id has %d bytes, the limit is %d", len(f.ID), schemas.MaxID)
	case !utf8.ValidString(f.ID):
		return nil, invalid("id is not UTF-8")
	}
	category, err := s.Taxonomy.Find(f.Category)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	l := &Label{Category: category.Name, CategoryIndex: category.Index, Source: "api", LabelledAt: now}
	if f.By != "" {
		l.Source += ":" + strings.ToValidUTF8(f.By[:min(len(f.By), maxBy)], "")
	}
	message := &schemas.Label{Id: f.ID, Category: l.Category, CategoryIndex: uint32(l.CategoryIndex), Source: l.Source, LabelledAt: schemas.Time(now)}
	if err := s.Label(ctx, message); err != nil {
		return nil, fmt.Errorf("publishing a label: %w", err)
	}
	return l, nil
}
