package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"jobstrom/schemas"
)

// GivenVacancy is a vacancy as a caller sends it.
type GivenVacancy struct {
	Text        string            `json:"text" doc:"the whole advertisement, plain or HTML, at most 1,000,000 bytes" maxLength:"1000000" example:"Vi søger en sygeplejerske, der kan pleje patienter og give medicin på medicinsk afdeling."`
	ID          *string           `json:"id,omitempty" doc:"names the vacancy; made from its content when absent" maxLength:"200" nullable:"true"`
	Title       *string           `json:"title,omitempty" doc:"the advertised job title" maxLength:"1000" nullable:"true" example:"Sygeplejerske"`
	Employer    *string           `json:"employer,omitempty" doc:"name of the employer, which is then no person's name in the text" maxLength:"1000" nullable:"true"`
	Source      *string           `json:"source,omitempty" doc:"where the vacancy comes from" maxLength:"200" nullable:"true"`
	PublishedAt *time.Time        `json:"published_at,omitempty" doc:"when the employer published it" nullable:"true"`
	Category    *string           `json:"category,omitempty" doc:"the true category, by name, code or index, where it is known" maxLength:"200" nullable:"true"`
	Attributes  map[string]string `json:"attributes,omitempty" doc:"the caller's own" nullable:"true"`
	_           struct{}          `json:"-" additionalProperties:"true"`
}

// vacancy returns the message.
func (g *GivenVacancy) vacancy() *schemas.Vacancy {
	given := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	v := &schemas.Vacancy{
		Text: g.Text, Id: given(g.ID), Title: given(g.Title), Employer: given(g.Employer), Source: given(g.Source), Category: given(g.Category), Attributes: g.Attributes,
	}
	if g.PublishedAt != nil {
		v.PublishedAt = schemas.Time(*g.PublishedAt)
	}
	return v
}

// TextOrVacancy is a text alone, or a vacancy.
type TextOrVacancy struct{ GivenVacancy }

// UnmarshalJSON reads either.
func (t *TextOrVacancy) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &t.Text)
	}
	return json.Unmarshal(data, &t.GivenVacancy)
}

// Schema describes either.
func (TextOrVacancy) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{{Type: huma.TypeString, MaxLength: new(schemas.MaxText), Examples: []any{"Vi søger en kok til restauranten, der kan lave mad til mange gæster."}}, r.Schema(reflect.TypeFor[GivenVacancy](), true, "")}}
}

// VacancyOrList is one vacancy, or several.
type VacancyOrList struct {
	vacancies []GivenVacancy
	one       bool
}

// UnmarshalJSON reads either.
func (l *VacancyOrList) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, &l.vacancies)
	}
	l.vacancies, l.one = make([]GivenVacancy, 1), true
	return json.Unmarshal(data, &l.vacancies[0])
}

// Schema describes either.
func (VacancyOrList) Schema(r huma.Registry) *huma.Schema {
	one := r.Schema(reflect.TypeFor[GivenVacancy](), true, "")
	return &huma.Schema{AnyOf: []*huma.Schema{one, {Type: huma.TypeArray, Items: one, MinItems: new(1)}}}
}

// PublishVacancies writes vacancies to vacancies.raw, all or none, and returns their ids when Kafka has them. The error says of each vacancy what is wrong with it.
func (s *Service) PublishVacancies(ctx context.Context, vacancies []*schemas.Vacancy) ([]string, error) {
	if s.Publish == nil {
		return nil, noKafka("vacancies cannot be published")
	}
	if len(vacancies) > s.MaxTexts {
		return nil, tooMany(len(vacancies), s.MaxTexts)
	}
	ids := make([]string, len(vacancies))
	var wrong []Violation
	for i, v := range vacancies {
		err := v.Normalize()
		if err == nil && v.Category != "" {
			_, err = s.Taxonomy.Find(v.Category)
		}
		if err != nil {
			wrong = append(wrong, Violation{Location: fmt.Sprintf("body[%d]", i), Message: err.Error()})
		}
		ids[i] = v.Id
	}
	if len(wrong) > 0 {
		p := invalid("%d of %d vacancies are not valid, so none was published", len(wrong), len(vacancies))
		p.Errors = wrong
		return nil, p
	}
	if err := s.Publish(ctx, vacancies); err != nil {
		return nil, fmt.Errorf("publishing %d vacancies: %w", len(vacancies), err)
	}
	return ids, nil
}

// VacancyState says what became of a vacancy; ErrUnknown when nobody has heard of it.
func (s *Service) VacancyState(ctx context.Context, id string) (*Vacancy, error) {
	if s.Vacancy == nil {
		return nil, noWarehouse("what became of vacancies is not known here")
	}
	v, err := s.Vacancy(ctx, id)
	if errors.Is(err, ErrUnknown) {
		p := newProblem(404, kindUnknown, "nobody has heard of this vacancy")
		p.Remedy = "a vacancy is known some seconds after it was published; ask again then"
		return nil, p
	}
	return v, err
}

func noKafka(what string) *Problem {
	return absent(what+": this process is not connected to Kafka", "start jobstrom up, or jobstrom serve with --brokers")
}

func noWarehouse(what string) *Problem {
	return absent(what+": this process is not connected to ClickHouse", "start jobstrom up, or jobstrom serve with --clickhouse")
}
