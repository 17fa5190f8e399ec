package api

import (
	"context"
	"net/http"
	"time"

	"jobstrom/schemas"
	"jobstrom/server/access"
)

type similarInput struct {
	Body struct {
		Text     string     `json:"text" doc:"a text, or words that say what is looked for" minLength:"1" maxLength:"1000000" example:"sygeplejerske på natarbejde"`
		Category string     `json:"category,omitempty" doc:"only vacancies of this category: its name, code or index" maxLength:"200"`
		Since    *time.Time `json:"since,omitempty" doc:"published from then on" nullable:"true"`
		Until    *time.Time `json:"until,omitempty" doc:"published before" nullable:"true"`
		Most     int        `json:"most,omitempty" minimum:"1" maximum:"100" default:"10"`
	}
}

type similarOutput struct {
	Body struct {
		Neighbours []Neighbour `json:"neighbours" nullable:"false" doc:"the nearest first"`
	}
}

type feedbackInput struct {
	Body struct {
		ID       string `json:"id" doc:"the vacancy's, as its answer gave it" minLength:"1" maxLength:"200"`
		Category string `json:"category" doc:"the right category: its name, code or index" minLength:"1" maxLength:"200" example:"Sundhed, omsorg og personlig pleje"`
	}
}

// classifyRoutes are those about single vacancies and what people say of them.
func (r *routes) classifyRoutes() {
	add(r, operation{
		method: http.MethodPost, path: "/v1/classify", id: "classify", tag: tagClassify, scope: access.Classify, errors: bodyErrors,
		summary: "Classify a vacancy", text: "Where nothing can be extracted from the text the answer is a problem of status 422. What is predicted goes, without the text, to predictions.api, so that feedback can be joined to it.",
	}, func(ctx context.Context, in *struct{ Body GivenVacancy }) (*answerOutput, error) {
		outcome, err := r.one(ctx, in.Body.vacancy())
		if err == nil {
			err = outcome.Err
		}
		if err != nil {
			return nil, err
		}
		return &answerOutput{outcome.Answer}, nil
	})
	add(r, operation{
		method: http.MethodPost, path: "/v1/similar", id: "similar", tag: tagClassify, scope: access.Classify, errors: bodyErrors,
		summary: "Find vacancies of like meaning", text: "The stored vacancies whose vectors are nearest to the text's.",
	}, func(ctx context.Context, in *similarInput) (*similarOutput, error) {
		q := SimilarQuery{Category: -1, Most: in.Body.Most}
		if in.Body.Since != nil {
			q.Since = *in.Body.Since
		}
		if in.Body.Until != nil {
			q.Until = *in.Body.Until
		}
		if in.Body.Category != "" {
			c, err := r.Taxonomy.Find(in.Body.Category)
			if err != nil {
				return nil, err
			}
			q.Category = c.Index
		}
		found, err := r.SimilarTo(ctx, in.Body.Text, q)
		if err != nil {
			return nil, err
		}
		out := &similarOutput{}
		out.Body.Neighbours = orEmpty(found)
		return out, nil
	})
	add(r, operation{
		method: http.MethodPost, path: "/v1/feedback", id: "feedback", tag: tagClassify, scope: access.Publish, errors: bodyErrors,
		summary: "Say what category a vacancy has", text: "The label goes to vacancies.labels, and from there into training and the measures of quality.",
	}, func(ctx context.Context, in *feedbackInput) (*struct{ Body *Label }, error) {
		label, err := r.Feedback(ctx, Feedback{ID: in.Body.ID, Category: in.Body.Category, By: access.CallerOf(ctx).Name})
		if err != nil {
			return nil, err
		}
		return &struct{ Body *Label }{label}, nil
	})
}

type publishedOutput struct {
	Location string `header:"Location" doc:"where the state of the first vacancy is"`
	Body     struct {
		IDs []string `json:"ids" nullable:"false" doc:"of the vacancies, in order; the state of each is at /v1/vacancies/{id}"`
	}
}

// vacancyRoutes are those about vacancies on Kafka.
func (r *routes) vacancyRoutes() {
	add(r, operation{
		method: http.MethodPost, path: "/v1/vacancies", id: "publish", tag: tagVacancies, scope: access.Publish, errors: bodyErrors, status: http.StatusAccepted,
		summary: "Publish vacancies", text: "One vacancy, or a list of them, to vacancies.raw: all or, where one is not valid, none. The answer comes when Kafka has them.",
	}, func(ctx context.Context, in *struct{ Body VacancyOrList }) (*publishedOutput, error) {
		vacancies := make([]*schemas.Vacancy, len(in.Body.vacancies))
		for i := range in.Body.vacancies {
			vacancies[i] = in.Body.vacancies[i].vacancy()
		}
		ids, err := r.PublishVacancies(ctx, vacancies)
		if err != nil {
			return nil, err
		}
		out := &publishedOutput{Location: location(ids[0])}
		out.Body.IDs = ids
		return out, nil
	})
	add(r, operation{
		method: http.MethodGet, path: "/v1/vacancies/{id}", id: "vacancy", tag: tagVacancies, scope: access.Classify, errors: lookupErrors,
		summary: "See what became of a vacancy",
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"200"`
	}) (*struct{ Body *Vacancy }, error) {
		v, err := r.VacancyState(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &struct{ Body *Vacancy }{v}, nil
	})
}

// orEmpty makes JSON's [] of nothing.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
