package api

import (
	"context"
	"net/http"

	"jobstrom/server/access"
)

type changeInput struct {
	ID   string `path:"id" doc:"of the model" maxLength:"200"`
	Body struct {
		Expect string `json:"expect" doc:"the champion of now, or empty where there is none: when another was promoted meanwhile, the answer is 409" maxLength:"200"`
		Reason string `json:"reason,omitempty" doc:"why, for the history" maxLength:"1000"`
	}
}

type rollbackInput struct {
	Body struct {
		Expect string `json:"expect" doc:"the champion of now: when another was promoted meanwhile, the answer is 409" maxLength:"200"`
		Reason string `json:"reason,omitempty" doc:"why, for the history" maxLength:"1000"`
	}
}

type eventOutput struct{ Body *ModelEvent }

// pageOutput is a page that was made elsewhere. It may style itself and do nothing else.
type pageOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Policy      string `header:"Content-Security-Policy" hidden:"true"`
	Body        []byte
}

func page(html []byte) *pageOutput {
	return &pageOutput{"text/html; charset=utf-8", PagePolicy, html}
}

// PagePolicy is the content security policy of reports: pages without scripts that carry their styles and pictures.
const PagePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// modelRoutes are those of the registry.
func (r *routes) modelRoutes() {
	add(r, operation{
		method: http.MethodGet, path: "/v1/models", id: "models", tag: tagModels, scope: access.Classify, errors: []int{http.StatusServiceUnavailable},
		summary: "List the models and their history",
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body *Models }, error) {
		if r.Models == nil {
			return nil, noKafka("the models are not known")
		}
		m, err := r.Models(ctx)
		if err != nil {
			return nil, err
		}
		m.Models, m.History = orEmpty(m.Models), orEmpty(m.History)
		return &struct{ Body *Models }{m}, nil
	})
	add(r, operation{
		method: http.MethodPost, path: "/v1/models/{id}/promote", id: "promote", tag: tagModels, scope: access.Admin, errors: changeErrors,
		summary: "Make a model the champion", text: "Only if the champion is still the expected one.",
	}, func(ctx context.Context, in *changeInput) (*eventOutput, error) {
		if r.Promote == nil {
			return nil, noKafka("models cannot be promoted")
		}
		e, err := r.Promote(ctx, in.ID, in.Body.Expect, in.Body.Reason, access.CallerOf(ctx).Name)
		if err != nil {
			return nil, err
		}
		return &eventOutput{e}, nil
	})
	add(r, operation{
		method: http.MethodPost, path: "/v1/models/rollback", id: "rollback", tag: tagModels, scope: access.Admin, errors: changeErrors,
		summary: "Make the champion of before champion again", text: "Only if the champion is still the expected one.",
	}, func(ctx context.Context, in *rollbackInput) (*eventOutput, error) {
		if r.Rollback == nil {
			return nil, noKafka("models cannot be rolled back")
		}
		e, err := r.Rollback(ctx, in.Body.Expect, in.Body.Reason, access.CallerOf(ctx).Name)
		if err != nil {
			return nil, err
		}
		return &eventOutput{e}, nil
	})
	add(r, operation{
		method: http.MethodGet, path: "/v1/models/{id}/report", id: "model-report", tag: tagModels, scope: access.Classify, errors: lookupErrors, content: "text/html",
		summary: "Read the page of a model's training",
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"200"`
	}) (*pageOutput, error) {
		if r.ModelReport == nil {
			return nil, noKafka("reports of models are not known")
		}
		html, err := r.ModelReport(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return page(html), nil
	})
}
