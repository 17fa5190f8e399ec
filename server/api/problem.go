package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"jobstrom/pipeline"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/server/access"
)

// problemType is the content type of RFC 9457.
const problemType = "application/problem+json"

// Kinds of problems: the last part of a problem's type. The documentation page lists them.
const (
	kindMalformed  = "malformed"
	kindInvalid    = "invalid"
	kindNothing    = "nothing-extracted"
	kindLarge      = "too-large"
	kindMany       = "too-many-texts"
	kindToken      = "unauthenticated"
	kindScope      = "forbidden"
	kindUnknown    = "not-found"
	kindMethod     = "method-not-allowed"
	kindMedia      = "unsupported-media-type"
	kindChanged    = "changed"
	kindTooFew     = "too-few"
	kindOverloaded = "overloaded"
	kindAbsent     = "not-here"
	kindAway       = "away"
	kindNotReady   = "not-ready"
	kindSlow       = "too-slow"
	kindInternal   = "internal"
	kindGone       = "caller-gone"
)

// statusGone is what a caller who did not wait is answered, for the metrics.
const statusGone = 499

// Problem is an answer that is no success, in the form of RFC 9457. It never quotes a vacancy.
type Problem struct {
	Type     string      `json:"type" format:"uri-reference" doc:"kind of problem; the documentation page explains it" example:"/docs#problem-overloaded"`
	Title    string      `json:"title" doc:"what kind of problem it is, in words"`
	Status   int         `json:"status" minimum:"400" maximum:"599"`
	Detail   string      `json:"detail" doc:"what was wrong this time"`
	Remedy   string      `json:"remedy,omitempty" doc:"what to do about it"`
	Instance string      `json:"instance,omitempty" format:"uri-reference" doc:"id of the request, as in the header X-Request-Id and in the log"`
	Errors   []Violation `json:"errors,omitempty" doc:"each of several things that are wrong with a request"`

	// Of the reference system's routes.
	Message    string `json:"error,omitempty" doc:"detail again, on the reference system's routes"`
	StatusCode int    `json:"status-code,omitempty" doc:"status again, on the reference system's routes"`

	// Header is what HTTP wants beside the status: Retry-After, Allow, WWW-Authenticate.
	Header http.Header `json:"-"`
}

// Violation is one thing that is wrong with a request.
type Violation struct {
	Location string `json:"location,omitempty" doc:"where, such as body[3].text"`
	Message  string `json:"message"`
}

// titles name the kinds.
var titles = map[string]string{
	kindMalformed: "The request cannot be read", kindInvalid: "The request is not valid", kindNothing: "Nothing was found in the text", kindLarge: "The request is too large",
	kindMany: "Too many texts in one request", kindToken: "A valid token is needed", kindScope: "The token does not reach that far", kindUnknown: "Not found",
	kindMethod: "The path has no such method", kindMedia: "The content type is not known", kindChanged: "Something changed meanwhile", kindTooFew: "Too few vacancies",
	kindOverloaded: "Too many requests", kindAbsent: "This process cannot do that", kindAway: "A part cannot be reached now", kindNotReady: "Not ready yet",
	kindSlow: "The request came too slowly", kindInternal: "An error of ours", kindGone: "The caller did not wait",
}

func newProblem(status int, kind, detail string) *Problem {
	return &Problem{Type: "/docs#problem-" + kind, Title: titles[kind], Status: status, Detail: detail}
}

// NotFound is the answer to a path that nobody serves.
func NotFound() *Problem {
	p := newProblem(http.StatusNotFound, kindUnknown, "nothing is served at this path")
	p.Remedy = "see /docs and /openapi.json"
	return p
}

// NotAllowed is the answer to a method that a path does not have; allow lists those it has.
func NotAllowed(allow string) *Problem {
	p := newProblem(http.StatusMethodNotAllowed, kindMethod, "this path knows "+allow)
	p.Header = http.Header{"Allow": {allow}}
	return p
}

// Internal is the answer to what only the log may say more about.
func Internal() *Problem {
	p := newProblem(http.StatusInternalServerError, kindInternal, "the request met an error of ours, which was logged")
	p.Remedy = "try again; if it stays, tell whoever runs this the instance"
	return p
}

// absent is the answer of a route whose source is nil.
func absent(what, start string) *Problem {
	p := newProblem(http.StatusServiceUnavailable, kindAbsent, what)
	p.Remedy = start
	return p
}

func tooMany(n, most int) *Problem {
	p := newProblem(http.StatusRequestEntityTooLarge, kindMany, fmt.Sprintf("%d texts in one request, the limit is %d", n, most))
	p.Remedy = "send fewer at a time, or any number line by line to /v1/batch"
	return p
}

func tooLarge(most int64) *Problem {
	return newProblem(http.StatusRequestEntityTooLarge, kindLarge, fmt.Sprintf("the request has more than %d bytes, which is the limit", most))
}

func retryAfter(seconds int) http.Header {
	return http.Header{"Retry-After": {strconv.Itoa(seconds)}}
}

// Refused is the answer to whom access refuses.
func Refused(r *access.Refusal) *Problem {
	kinds := map[int]string{http.StatusUnauthorized: kindToken, http.StatusForbidden: kindScope, http.StatusTooManyRequests: kindOverloaded}
	kind, known := kinds[r.Status]
	if !known {
		kind = kindAway
	}
	p := newProblem(r.Status, kind, r.Detail)
	p.Header = http.Header{}
	r.SetHeaders(p.Header)
	return p
}

func invalid(format string, args ...any) *Problem {
	return newProblem(http.StatusUnprocessableEntity, kindInvalid, fmt.Sprintf(format, args...))
}

// Problem returns what a caller is told of an error. What is not the caller's to know is logged instead.
func (s *Service) Problem(ctx context.Context, err error) *Problem {
	var p *Problem
	var large *http.MaxBytesError
	var refusal *access.Refusal
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refusal):
		return Refused(refusal)
	case errors.As(err, &large):
		return tooLarge(large.Limit)
	case errors.Is(err, extract.ErrNothingExtracted):
		p = newProblem(http.StatusUnprocessableEntity, kindNothing, err.Error())
		p.Remedy = "send a vacancy that says what the work is"
	case errors.Is(err, schemas.ErrMalformed), errors.Is(err, schemas.ErrUnknownCategory):
		p = invalid("%s", err)
	case errors.Is(err, pipeline.ErrOverloaded):
		p = newProblem(http.StatusTooManyRequests, kindOverloaded, "more vacancies wait than can be served now")
		p.Remedy, p.Header = "try again after the seconds of Retry-After", retryAfter(1)
	case errors.Is(err, pipeline.ErrNoClassifier):
		p = newProblem(http.StatusServiceUnavailable, kindNotReady, err.Error())
		p.Header = retryAfter(10)
	case errors.Is(err, ErrUnknown):
		p = newProblem(http.StatusNotFound, kindUnknown, err.Error())
	case errors.Is(err, ErrChanged):
		p = newProblem(http.StatusConflict, kindChanged, err.Error())
	case errors.Is(err, ErrTooFew):
		p = newProblem(http.StatusConflict, kindTooFew, err.Error())
	case errors.Is(err, ErrAway):
		p = newProblem(http.StatusServiceUnavailable, kindAway, err.Error())
		p.Header = retryAfter(5)
	case ctx.Err() != nil:
		p = newProblem(statusGone, kindGone, "the request was given up")
	default:
		s.Logger.Error("answering a request", "error", err)
		p = Internal()
	}
	return p
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus gives huma the status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders gives huma the headers that belong to the status.
func (p *Problem) GetHeaders() http.Header { return p.Header }

// ContentType gives huma the content type.
func (p *Problem) ContentType(string) string { return problemType }

// Write answers a request with the problem.
func (p Problem) Write(w http.ResponseWriter, r *http.Request) {
	for name, values := range p.Header {
		w.Header()[name] = values
	}
	p.belongTo(access.RequestID(r.Context()), r.URL.Path)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(p)
	}
}

// belongTo names the request, and adds what the reference system's routes say of errors.
func (p *Problem) belongTo(id, path string) {
	if p.Instance = id; slices.Contains(referencePaths, path) {
		p.Message, p.StatusCode = p.Detail, p.Status
	}
}

// referencePaths are the reference system's.
var referencePaths = []string{"/classify", "/batch_classify"}
