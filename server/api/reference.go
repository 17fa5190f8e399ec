package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/server/access"
)

// OK is what GET / says to a machine.
type OK struct {
	Message string `json:"message" enum:"OK"`
	Status  int    `json:"status-code" enum:"200"`
}

// Alive answers GET / for machines.
func Alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = writeJSON(w, OK{"OK", http.StatusOK})
}

type referenceInput struct {
	Text string        `query:"jobopslag" doc:"the vacancy's text; the body is then not looked at. A request line has at most 64 KiB, a longer text goes into the body"`
	Body *GivenVacancy `required:"false"`
	// given says that jobopslag is there, perhaps empty.
	given bool
}

// Resolve looks whether jobopslag is there.
func (i *referenceInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	i.given = u.Query().Has("jobopslag")
	return nil
}

// vacancy is what was sent.
func (i *referenceInput) vacancy() (*schemas.Vacancy, error) {
	switch {
	case i.given:
		return &schemas.Vacancy{Text: i.Text}, nil
	case i.Body != nil:
		return i.Body.vacancy(), nil
	}
	return nil, invalid("there is no text: send it as ?jobopslag=… or as the body {\"text\": …}")
}

type answerOutput struct{ Body *Answer }

type referenceBatchOutput struct{ Body map[string]*Answer }

// referenceRoutes are those of the reference system.
func (r *routes) referenceRoutes() {
	alive := &huma.Operation{
		Method: http.MethodGet, Path: "/", OperationID: "alive", Tags: []string{tagReference}, Summary: "Say that the service is there",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: r.schema(OK{})}}}},
	}
	r.OpenAPI().AddOperation(alive)
	add(r, operation{
		method: http.MethodPost, path: "/classify", id: "classify-reference", tag: tagReference, scope: access.Classify, errors: bodyErrors,
		summary: "Classify a vacancy",
		text:    "The text as the query parameter jobopslag or in the body. When fewer than 10 characters were extracted from it, frontend_error_message says so in Danish; nothing is then known, so each category has the same probability and the first is named.",
	}, func(ctx context.Context, in *referenceInput) (*answerOutput, error) {
		v, err := in.vacancy()
		if err != nil {
			return nil, err
		}
		outcome, err := r.one(ctx, v)
		if err != nil || outcome.Err != nil && !errors.Is(outcome.Err, extract.ErrNothingExtracted) {
			return nil, errors.Join(err, outcome.Err)
		}
		return &answerOutput{outcome.Answer}, nil
	})
	add(r, operation{
		method: http.MethodPost, path: "/batch_classify", id: "batch-classify-reference", tag: tagReference, scope: access.Classify, errors: bodyErrors,
		summary: "Classify several vacancies",
		text:    "A list of texts, or of vacancies. The answer is an object from each one's index, \"0\", \"1\", …, to what /classify says of it; what cannot be answered has frontend_error_message.",
	}, func(ctx context.Context, in *struct{ Body []TextOrVacancy }) (*referenceBatchOutput, error) {
		vacancies := make([]*schemas.Vacancy, len(in.Body))
		for i := range in.Body {
			vacancies[i] = in.Body[i].vacancy()
		}
		outcomes, err := r.ClassifyVacancies(ctx, vacancies)
		if err != nil {
			return nil, err
		}
		out := &referenceBatchOutput{map[string]*Answer{}}
		for i, o := range outcomes {
			out.Body[strconv.Itoa(i)] = o.Answer
		}
		return out, nil
	})
}

// one answers one vacancy.
func (s *Service) one(ctx context.Context, v *schemas.Vacancy) (Outcome, error) {
	outcomes, err := s.ClassifyVacancies(ctx, []*schemas.Vacancy{v})
	if err != nil {
		return Outcome{}, err
	}
	return outcomes[0], nil
}

// Location is where the state of a vacancy is.
func location(id string) string { return "/v1/vacancies/" + url.PathEscape(id) }
