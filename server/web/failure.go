package web

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"

	"jobstrom/pipeline"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/schemas"
	"jobstrom/server/access"
	"jobstrom/server/api"
)

// failure is why a page cannot be shown, in messages.
type failure struct {
	status int
	// message is the key of what to tell; empty takes the status's own.
	message string
	// detail is the program's own words, in English; they quote no content.
	detail string
	// header is what HTTP wants beside the status.
	header http.Header
	// wait is how many seconds to wait before trying again; 0 says nothing.
	wait int
}

func (f *failure) Error() string { return http.StatusText(f.status) }

func badRequest(message string) error {
	return &failure{status: http.StatusBadRequest, message: message}
}

// missing says that a source is not there, and what to start.
func missing() error {
	return &failure{status: http.StatusServiceUnavailable, message: "error.missing"}
}

// failureOf says what of an error a person is told.
func failureOf(err error) *failure {
	var known *failure
	var problem *api.Problem
	var refusal *access.Refusal
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refusal):
		return &failure{status: refusal.Status, wait: int(math.Ceil(refusal.RetryAfter.Seconds()))}
	case errors.As(err, &tooLarge):
		return &failure{status: http.StatusRequestEntityTooLarge}
	case errors.Is(err, extract.ErrNothingExtracted):
		return &failure{status: http.StatusUnprocessableEntity, message: "error.nothing"}
	case errors.Is(err, schemas.ErrUnknownCategory):
		return badRequest("error.category").(*failure)
	case errors.Is(err, schemas.ErrMalformed):
		return &failure{status: http.StatusBadRequest, message: "error.malformed", detail: err.Error()}
	case errors.Is(err, producers.ErrNoVacancies):
		return badRequest("error.empty").(*failure)
	case errors.Is(err, pipeline.ErrOverloaded):
		return &failure{status: http.StatusTooManyRequests, wait: 1}
	case errors.Is(err, pipeline.ErrNoClassifier):
		return &failure{status: http.StatusServiceUnavailable, message: "error.classifier"}
	case errors.Is(err, api.ErrUnknown):
		return &failure{status: http.StatusNotFound, message: "error.unknown"}
	case errors.Is(err, api.ErrChanged):
		return &failure{status: http.StatusConflict, message: "error.changed"}
	case errors.Is(err, api.ErrTooFew):
		return &failure{status: http.StatusUnprocessableEntity, message: "error.few"}
	case errors.Is(err, api.ErrAway):
		return &failure{status: http.StatusServiceUnavailable, message: "error.away", wait: 5}
	case errors.As(err, &problem):
		return &failure{status: problem.Status, detail: problem.Detail, header: problem.Header}
	case errors.Is(err, context.Canceled):
		return &failure{status: 499}
	}
	return &failure{status: http.StatusInternalServerError}
}

// told returns a failure's heading and text.
func (f *failure) told(l *Language) (title, text string) {
	status := f.status
	if _, known := l.messages["error."+strconv.Itoa(status)+".title"]; !known {
		if status = http.StatusInternalServerError; f.status < 500 {
			status = http.StatusBadRequest
		}
	}
	title, text = l.Named("error", strconv.Itoa(status)+".title"), l.Named("error", strconv.Itoa(status)+".text")
	if f.message != "" {
		text = l.Text(f.message)
	}
	return title, text
}

// failed is what the page of a failure shows.
type failed struct {
	Status      int
	Title, Text string
	Detail      string
	LogIn       bool
}

// Fail answers with what went wrong, as a page, or as a piece of one where the page's script asked.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, err error) {
	f := failureOf(err)
	if f.status == http.StatusInternalServerError {
		p.Logger.ErrorContext(r.Context(), "answering a page", "page", r.Pattern, "error", err)
	}
	maps.Copy(w.Header(), f.header)
	if f.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.wait))
	}
	v := p.view(w, r)
	body := failed{Status: f.status, Detail: f.detail, LogIn: p.guard.Protected() && (f.status == http.StatusUnauthorized || f.status == http.StatusForbidden)}
	body.Title, body.Text = f.told(v.language)
	v.Body = body
	p.write(w, r, f.status, "error", v)
}

// NotFound is the page for an address that there is none of.
func (p *Pages) NotFound(w http.ResponseWriter, r *http.Request) {
	p.Fail(w, r, &failure{status: http.StatusNotFound})
}
