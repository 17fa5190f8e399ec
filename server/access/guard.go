package access

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reasons of refusals, as the metric has them.
const (
	reasonHost      = "host"      // asked by a name that is not the server's
	reasonOrigin    = "origin"    // a page of somebody else's
	reasonMalformed = "malformed" // the header Authorization is none
	reasonMissing   = "missing"   // no token
	reasonToken     = "token"     // a token that is not known, or not from the issuer
	reasonExpired   = "expired"
	reasonScope     = "scope"
	reasonRate      = "rate"
	reasonIssuer    = "issuer" // the issuer's keys cannot be had
)

var reasons = []string{reasonHost, reasonOrigin, reasonMalformed, reasonMissing, reasonToken, reasonExpired, reasonScope, reasonRate, reasonIssuer}

// invalid refuses a token that was given.
func invalid(reason, detail string) *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Detail: detail, reason: reason, known: true}
}

// Guard finds out who asks and refuses what nobody may ask. Its methods may be called at once.
type Guard struct {
	Options

	keyring  *keyring // nil without a file
	issuer   *issuer  // nil without one
	limiter  *limiter
	origins  *origins
	sessions *sessions
	refused  *prometheus.CounterVec
}

func newMetrics() (refused *prometheus.CounterVec, damaged prometheus.Gauge) {
	refused = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobstrom_http_refused_total", Help: "Requests that no route was asked about, or that lacked a scope: missing (no token), token (one that is not known, or not from the issuer), expired, malformed (the header Authorization), scope, rate, host (asked by another name), origin (a page of another site), issuer (its keys cannot be had)."}, []string{"reason"})
	for _, reason := range reasons {
		refused.WithLabelValues(reason)
	}
	return refused, prometheus.NewGauge(prometheus.GaugeOpts{Name: "jobstrom_http_tokens_damaged", Help: "1 while the file of --tokens cannot be read and the tokens of before are in force."})
}

// RegisterMetrics registers what the package's parts show, before any of them runs: for the list in docs/metrics.md.
func RegisterMetrics(registerer prometheus.Registerer) {
	refused, damaged := newMetrics()
	registerer.MustRegister(refused, damaged)
}

// New reads the tokens, begins to ask the issuer for its keys, and returns a Guard. An issuer that is away is asked again until ctx ends.
func New(ctx context.Context, o Options) (*Guard, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("guarding the server: %w", err)
	}
	g := &Guard{Options: o, limiter: newLimiter(o.Rate, o.Burst), sessions: newSessions(o.Session)}
	var damaged prometheus.Gauge
	g.refused, damaged = newMetrics()
	if o.Registerer != nil {
		for _, c := range []prometheus.Collector{g.refused, damaged} {
			if err := o.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("guarding the server: %w", err)
			}
		}
	}
	var err error
	if g.origins, err = newOrigins(o); err != nil {
		return nil, fmt.Errorf("guarding the server: %w", err)
	}
	if o.Tokens != "" {
		g.keyring, err = openKeyring(o.Tokens, o.Logger, func(err error) {
			damaged.Set(0)
			if err != nil {
				damaged.Set(1)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("%w (jobstrom tokens new makes a file of tokens)", err)
		}
	}
	if o.OIDC.Issuer != "" {
		if g.issuer, err = newIssuer(ctx, o.OIDC, o.Board, o.Logger); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Protected says whether tokens are asked for.
func (g *Guard) Protected() bool { return g.keyring != nil || g.issuer != nil }

// watched says whether a path is asked by what watches the process: with any Host, without a token, at any rate.
func watched(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/metrics"
}

// Wrap guards a handler: see the package's documentation. It answers preflights and refusals itself.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := &request{guard: g, id: requestID(r)}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, found))
		setHeaders(w.Header(), r, found.id)
		if watched(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if refusal := g.origins.host(r); refusal != nil {
			g.refuse(w, r, refusal)
			return
		}
		if done, refusal := g.origins.cors(w, r); refusal != nil {
			g.refuse(w, r, refusal)
			return
		} else if done {
			return
		}
		caller, withToken, refusal := g.authenticate(r)
		if refusal == nil {
			refusal = g.origins.crossSite(r, withToken)
		}
		// What is refused counts for the address, so that nobody can have tokens tried for ever.
		if slow := g.limiter.take(caller, r); slow != nil {
			refusal = slow
		}
		if refusal != nil {
			g.refuse(w, r, refusal)
			return
		}
		found.caller = caller
		next.ServeHTTP(w, r)
	})
}

// Require answers with a refusal whoever lacks a scope.
func (g *Guard) Require(scope Scope, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var refusal *Refusal
		if errors.As(Allow(r.Context(), scope), &refusal) {
			refusal.SetHeaders(w.Header())
			g.Refuse(w, r, refusal)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// authenticate finds the caller: by a bearer token, which must be right when there is one, or by a session.
func (g *Guard) authenticate(r *http.Request) (caller Caller, withToken bool, refusal *Refusal) {
	if !g.Protected() {
		return Caller{Name: "local", Scopes: []Scope{Admin}, Local: true}, false, nil
	}
	token, given, refusal := bearer(r.Header)
	if refusal != nil {
		return Caller{}, true, refusal
	}
	if given {
		caller, _, refusal = g.caller(r.Context(), token)
		return caller, true, refusal
	}
	caller, _ = g.sessions.caller(r, time.Now(), g.keyring)
	return caller, false, nil
}

// caller returns who has a token and until when it lasts; zero is for ever.
func (g *Guard) caller(ctx context.Context, token string) (Caller, time.Time, *Refusal) {
	switch {
	case g.keyring != nil && (g.issuer == nil || strings.HasPrefix(token, Prefix)):
		caller, refusal := g.keyring.caller(sha256.Sum256([]byte(token)), time.Now())
		return caller, time.Time{}, refusal
	case g.issuer != nil:
		return g.issuer.caller(ctx, token, time.Now())
	}
	return Caller{}, time.Time{}, invalid(reasonToken, "this token is not known here")
}

// bearerToken is RFC 6750's b64token.
var bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// maxBearer bounds a token, in bytes.
const maxBearer = 8 << 10

// bearer returns the token of the header Authorization, and whether there is such a header.
func bearer(h http.Header) (token string, given bool, refusal *Refusal) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", false, nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || len(token) > maxBearer || !bearerToken.MatchString(token) {
		return "", true, invalid(reasonMalformed, "the header Authorization must be given once, as Bearer TOKEN")
	}
	return token, true, nil
}

// refuse counts and answers.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, refusal *Refusal) {
	g.count(RequestID(r.Context()), refusal)
	refusal.SetHeaders(w.Header())
	g.Refuse(w, r, refusal)
}

// count counts, and says no more in the log than that there was something: who asked for what may be personal.
func (g *Guard) count(id string, refusal *Refusal) {
	g.refused.WithLabelValues(refusal.reason).Inc()
	g.Logger.Debug("refusing a request", "reason", refusal.reason, "status", refusal.Status, "request", id)
}

// writeProblem answers with a problem of RFC 9457.
func writeProblem(w http.ResponseWriter, r *http.Request, refusal *Refusal) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(refusal.Status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(map[string]any{"status": refusal.Status, "title": http.StatusText(refusal.Status), "detail": refusal.Detail})
	}
}
