package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"jobstrom/server/access"
)

// patience is how long a request's body may take to come, and each part of a stream to be taken.
const patience = time.Minute

// routes are the API on its way into a mux and a document.
type routes struct {
	*Service
	huma.API
}

// operation is what a route is, beside its types.
type operation struct {
	method, path, id, tag, summary, text string
	scope                                access.Scope
	// errors are the statuses that it may answer beside 401, 403, 429 and 500.
	errors []int
	// status of success, 200 when zero; content is its content type where it is not JSON.
	status  int
	content string
}

// Register adds the API's routes, its description at /openapi.json and /openapi.yaml, and the page /docs. GET / is the assembly's: it answers OK to machines.
func (s *Service) Register(mux *http.ServeMux) error {
	format := huma.Format{Marshal: writeJSON, Unmarshal: readJSON}
	config := huma.Config{
		OpenAPI: s.document(),
		Formats: map[string]huma.Format{"application/json": format, "json": format}, DefaultFormat: "application/json", // json is what ends in +json
		Transformers: []huma.Transformer{finish},
	}
	r := &routes{s, humago.New(mux, config)}
	r.referenceRoutes()
	r.classifyRoutes()
	r.batchRoutes()
	r.vacancyRoutes()
	r.modelRoutes()
	r.driftRoutes()
	r.letterRoutes()
	r.eventRoutes()
	return r.describe(mux)
}

// add adds a route. An error that f returns becomes a Problem.
func add[In, Out any](r *routes, o operation, f func(context.Context, *In) (*Out, error)) {
	op := huma.Operation{
		Method: o.method, Path: o.path, OperationID: o.id, Tags: []string{o.tag}, Summary: o.summary, Description: o.text, DefaultStatus: o.status,
		MaxBodyBytes: r.MaxBytes + 1, BodyReadTimeout: -1, // readBody holds them
		Responses:   map[string]*huma.Response{},
		Middlewares: huma.Middlewares{r.admit(o)}, Security: []map[string][]string{{"token": {string(o.scope)}}},
	}
	if slices.Contains(referencePaths, o.path) {
		op.Responses["431"] = &huma.Response{Description: "Request Header Fields Too Large", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}}
	}
	problem := r.OpenAPI().Components.Schemas.Schema(problemStruct, true, "")
	for _, status := range append([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError}, o.errors...) {
		op.Responses[fmt.Sprint(status)] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{problemType: {Schema: problem}}}
	}
	if o.content != "" {
		op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{o.content: {Schema: &huma.Schema{Type: huma.TypeString}}}}
	}
	huma.Register(r, op, func(ctx context.Context, in *In) (*Out, error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, r.Problem(ctx, err)
		}
		return out, nil
	})
}

// admit lets in who has the route's scope. It takes what the reference system's callers send for JSON, whatever they call it: curl -d names a form.
func (r *routes) admit(o operation) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		request, w := humago.Unwrap(ctx)
		if err := access.Allow(ctx.Context(), o.scope); err != nil {
			r.Problem(ctx.Context(), err).Write(w, request)
			return
		}
		if name := emptyParameter(ctx.Operation(), request.URL.Query()); name != "" {
			invalid("query.%s is empty", name).Write(w, request)
			return
		}
		if slices.Contains(referencePaths, o.path) {
			request.Header.Set("Content-Type", "application/json")
		}
		if body := ctx.Operation().RequestBody; body != nil && body.Content["application/json"] != nil {
			if err := r.readBody(w, request); err != nil {
				r.Problem(ctx.Context(), err).Write(w, request)
				return
			}
		}
		next(ctx)
	}
}

// readBody reads a body ahead of huma, for which a caller who goes would be an error of ours.
func (r *routes) readBody(w http.ResponseWriter, request *http.Request) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(patience))
	data, err := io.ReadAll(http.MaxBytesReader(w, request.Body, r.MaxBytes))
	var large *http.MaxBytesError
	switch {
	case err == nil:
		_ = control.SetReadDeadline(time.Time{}) // net/http reads on to see the caller go, and a deadline then is that
		request.Body = io.NopCloser(bytes.NewReader(data))
		return nil
	case errors.As(err, &large):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return newProblem(http.StatusRequestTimeout, kindSlow, fmt.Sprintf("the body did not come within %s", patience))
	}
	return newProblem(statusGone, kindGone, "the request broke off")
}

// emptyParameter names a parameter that is there without a value, where none that is no string would do. huma takes it for absent.
func emptyParameter(op *huma.Operation, query url.Values) string {
	for _, p := range op.Parameters {
		if values := query[p.Name]; p.In == "query" && len(values) > 0 && values[0] == "" && (p.Schema.Type != huma.TypeString || p.Schema.Format != "") {
			return p.Name
		}
	}
	return ""
}

// finish gives every problem its request's id, and huma's own errors the form of ours: they would quote what was sent.
func finish(ctx huma.Context, _ string, v any) (any, error) {
	var p Problem
	switch v := v.(type) {
	case *huma.ErrorModel:
		p = *fromHuma(v)
	case *Problem:
		p = *v
	default:
		return v, nil
	}
	p.belongTo(access.RequestID(ctx.Context()), ctx.Operation().Path)
	return &p, nil
}

// fromHuma takes over what huma found wrong with a request, without the values.
func fromHuma(e *huma.ErrorModel) *Problem {
	kinds := map[int]string{http.StatusBadRequest: kindMalformed, http.StatusUnprocessableEntity: kindInvalid, http.StatusUnsupportedMediaType: kindMedia}
	kind, known := kinds[e.Status]
	if !known {
		return Internal()
	}
	p := newProblem(e.Status, kind, e.Detail)
	for _, d := range e.Errors {
		if d != nil {
			p.Errors = append(p.Errors, Violation{Location: d.Location, Message: d.Message})
		}
	}
	if len(p.Errors) > 0 {
		p.Detail = p.Errors[0].Message
		if at := p.Errors[0].Location; at != "" {
			p.Detail = at + ": " + p.Detail
		}
	}
	return p
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// readJSON says where a body is no JSON, and quotes nothing.
func readJSON(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8")
	}
	err := json.Unmarshal(data, v)
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("the body is not JSON: at byte %d of %d", syntax.Offset, len(data))
	case errors.As(err, &wrong):
		return fmt.Errorf("%s must not be a JSON %s", cmp.Or(wrong.Field, "a vacancy"), wrong.Value)
	}
	return err
}
