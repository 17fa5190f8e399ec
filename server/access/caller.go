package access

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Scope is a right to a group of routes.
type Scope string

// The scopes. Admin includes the others.
const (
	Classify Scope = "classify" // classify, and read what was classified
	Publish  Scope = "publish"  // put vacancies and labels on Kafka
	Admin    Scope = "admin"    // promote and roll back models, read and replay dead letters
)

// Scopes lists them all.
var Scopes = []Scope{Classify, Publish, Admin}

// ParseScopes reads names of scopes, each once.
func ParseScopes(names []string) ([]Scope, error) {
	var scopes []Scope
	for _, name := range names {
		if !slices.Contains(Scopes, Scope(name)) {
			return nil, fmt.Errorf("the scope %.40q must be one of %v", name, Scopes)
		}
		if !slices.Contains(scopes, Scope(name)) {
			scopes = append(scopes, Scope(name))
		}
	}
	return scopes, nil
}

// Caller is who asks. The zero Caller is nobody in particular, without scopes.
type Caller struct {
	// Name is that of the token, or the subject of the issuer's.
	Name   string
	Scopes []Scope
	// Local says that nobody is asked for a token here.
	Local bool

	key  string   // whose rate is counted; "" counts the address
	rate *float64 // requests a second, instead of the setting
}

// Has says whether the caller may do what needs a scope.
func (c Caller) Has(s Scope) bool {
	return slices.Contains(c.Scopes, s) || slices.Contains(c.Scopes, Admin)
}

// Refusal is why a request is not answered. Its text is for the caller and quotes nothing of the request.
type Refusal struct {
	// Status is 401 (who asks?), 403 (not this), 429 (not so fast) or 503 (nobody can tell who asks now).
	Status int
	Detail string
	// RetryAfter is when to ask again, where asking again helps.
	RetryAfter time.Duration

	reason string // of the metric
	known  bool   // a token was given, but it is of no use
}

func (r *Refusal) Error() string { return r.Detail }

// SetHeaders adds what HTTP wants beside the status.
func (r *Refusal) SetHeaders(h http.Header) {
	if r.Status == http.StatusUnauthorized {
		challenge := `Bearer realm="jobstrom"`
		if r.known {
			challenge += `, error="invalid_token"`
		}
		h.Set("WWW-Authenticate", challenge)
	}
	if r.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((r.RetryAfter+time.Second-1)/time.Second)))
	}
}

// request is what a Guard found out about a request.
type request struct {
	guard  *Guard
	id     string
	caller Caller
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// CallerOf returns who asks; nobody where no Guard looked.
func CallerOf(ctx context.Context) Caller {
	if r := requestOf(ctx); r != nil {
		return r.caller
	}
	return Caller{}
}

// RequestID returns the id that the answer and the log carry, or "".
func RequestID(ctx context.Context) string {
	if r := requestOf(ctx); r != nil {
		return r.id
	}
	return ""
}

// Allow returns nil when the caller has the scope, and else a *Refusal, which is counted.
func Allow(ctx context.Context, scope Scope) error {
	r := requestOf(ctx)
	caller := CallerOf(ctx)
	if caller.Has(scope) {
		return nil
	}
	refusal := &Refusal{Status: http.StatusForbidden, reason: reasonScope,
		Detail: fmt.Sprintf("this token has the scopes %s, here %s is needed: ask for a token that has it", join(caller.Scopes), scope)}
	if caller.Name == "" {
		refusal = &Refusal{Status: http.StatusUnauthorized, reason: reasonMissing,
			Detail: fmt.Sprintf("a token with the scope %s is needed: send it in the header Authorization: Bearer TOKEN", scope)}
	}
	if r != nil {
		r.guard.count(r.id, refusal)
	}
	return refusal
}

func join(scopes []Scope) string {
	if len(scopes) == 0 {
		return "(none)"
	}
	var names []string
	for _, s := range scopes {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}
