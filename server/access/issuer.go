package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"jobstrom/health"
	"jobstrom/security"
)

// algorithms are the signatures that an issuer may use: those with a key pair, so that nobody who can check a token can make one.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// issuerProblem is where the board shows that the issuer is away.
var issuerProblem = health.Place{Part: "issuer"}

// issuer checks the tokens of an OIDC issuer.
type issuer struct {
	OIDC
	verifier atomic.Pointer[oidc.IDTokenVerifier] // nil until the issuer has answered
}

// newIssuer begins to ask for the issuer's configuration, and goes on until it has it or ctx ends.
func newIssuer(ctx context.Context, o OIDC, board *health.Board, log *slog.Logger) (*issuer, error) {
	config, err := security.TLS{Enabled: true, CA: o.CA}.Config()
	if err != nil {
		return nil, fmt.Errorf("oidc-ca: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig, transport.DisableKeepAlives = config, true // it is asked seldom
	i := &issuer{OIDC: o}
	ctx = oidc.ClientContext(ctx, &http.Client{Transport: &keyTransport{next: transport, every: 10 * time.Second}, Timeout: 10 * time.Second})
	go func() {
		for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
			verifier, err := discover(ctx, o)
			if err == nil {
				i.verifier.Store(verifier)
				board.Clear(issuerProblem)
				log.Info("the issuer of tokens has answered", "issuer", o.Issuer)
				return
			}
			if ctx.Err() != nil {
				return
			}
			log.Warn("asking the issuer of tokens, again soon", "issuer", o.Issuer, "error", err)
			board.Report(health.Problem{Place: issuerProblem, Reason: "the issuer " + o.Issuer + " does not answer: its tokens cannot be checked",
				Remedy: "see that it runs and can be reached from here, and that --oidc-issuer is what its /.well-known/openid-configuration names; it is asked again by itself"}, 0)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	}()
	return i, nil
}

// discover reads the issuer's configuration and returns what checks its tokens, but for when they end.
func discover(ctx context.Context, o OIDC) (*oidc.IDTokenVerifier, error) {
	provider, err := oidc.NewProvider(ctx, o.Issuer)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil || metadata.Keys == "" {
		return nil, errors.New("its configuration names no jwks_uri")
	}
	return oidc.NewVerifier(o.Issuer, keySet{oidc.NewRemoteKeySet(ctx, metadata.Keys)}, &oidc.Config{ClientID: o.Audience, SupportedSigningAlgs: algorithms, SkipExpiryCheck: true}), nil
}

// keySet is the issuer's, which says through the context when it cannot be had: go-oidc makes text of that.
type keySet struct{ *oidc.RemoteKeySet }

type awayKey struct{}

func (k keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.RemoteKeySet.VerifySignature(ctx, token)
	var away *url.Error
	if errors.As(err, &away) {
		*ctx.Value(awayKey{}).(*bool) = true
	}
	return payload, err
}

// caller returns whom the issuer names and until when.
func (i *issuer) caller(ctx context.Context, token string, now time.Time) (Caller, time.Time, *Refusal) {
	away := &Refusal{Status: http.StatusServiceUnavailable, reason: reasonIssuer, RetryAfter: 5 * time.Second, Detail: "tokens cannot be checked now, because their issuer does not answer: try again soon"}
	verifier := i.verifier.Load()
	if verifier == nil {
		return Caller{}, time.Time{}, away
	}
	var keysAway bool
	verified, err := verifier.Verify(context.WithValue(ctx, awayKey{}, &keysAway), token)
	if err != nil {
		if keysAway {
			return Caller{}, time.Time{}, away
		}
		return Caller{}, time.Time{}, invalid(reasonToken, "this token is not one of the issuer's for this service: see its signature, iss and aud")
	}
	var claims map[string]any
	var times struct {
		NotBefore float64 `json:"nbf"`
	}
	if errors.Join(verified.Claims(&claims), verified.Claims(&times)) != nil || !subject.MatchString(verified.Subject) {
		return Caller{}, time.Time{}, invalid(reasonToken, "this token's claims are malformed, or its subject (sub) is not 1 to 255 printable ASCII characters")
	}
	ends := verified.Expiry.Add(i.Leeway)
	switch {
	case verified.Expiry.IsZero() || verified.Expiry.Unix() == 0:
		return Caller{}, time.Time{}, invalid(reasonToken, "this token has no end (exp)")
	case !now.Before(ends):
		return Caller{}, time.Time{}, invalid(reasonExpired, "this token has expired: get a new one from its issuer")
	case times.NotBefore > float64(now.Add(i.Leeway).Unix()):
		return Caller{}, time.Time{}, invalid(reasonToken, "this token is not valid yet (nbf): is a clock wrong?")
	}
	return Caller{Name: verified.Subject, Scopes: scopesOf(claims, i.ScopesClaim), key: "subject " + verified.Subject}, ends, nil
}

// subject is what OpenID Connect Core 1.0, 2 allows, without control characters: it is shown and kept as the name of who asked.
var subject = regexp.MustCompile(`^[ -~]{1,255}$`)

// scopesOf reads the scopes of ours; an issuer has others, too.
func scopesOf(claims map[string]any, claim string) []Scope {
	var names []string
	switch value := lookUp(claims, claim).(type) {
	case string:
		names = strings.Fields(value)
	case []any:
		for _, v := range value {
			if name, ok := v.(string); ok {
				names = append(names, name)
			}
		}
	}
	var scopes []Scope
	for _, name := range names {
		if s := Scope(strings.TrimPrefix(name, "jobstrom:")); slices.Contains(Scopes, s) && !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// lookUp finds a claim by its name, or by the names of the objects it lies in, as in realm_access.roles.
func lookUp(claims map[string]any, name string) any {
	if value, ok := claims[name]; ok {
		return value
	}
	outer, inner, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	object, _ := claims[outer].(map[string]any)
	return lookUp(object, inner)
}

// keyTransport asks the issuer. A token with an unknown signature has its keys asked for again, since they may have changed, and anybody can make such tokens: so what was
// answered is answered again for a while, but for the first few times.
type keyTransport struct {
	next  http.RoundTripper
	every time.Duration

	mu    sync.Mutex
	saved map[string]savedAnswer
}

type savedAnswer struct {
	at     time.Time
	asked  int // times in a row without the pause
	status int
	header http.Header
	body   []byte
	err    error
}

// quickAnswers is how often in a row the issuer may be asked without a pause, so that keys that change are seen at once.
const quickAnswers = 5

// maxAnswer bounds what an issuer answers, in bytes.
const maxAnswer = 1 << 20

func (t *keyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	address := r.URL.String()
	t.mu.Lock()
	defer t.mu.Unlock() // go-oidc asks one thing at a time
	saved := t.saved[address]
	if time.Since(saved.at) > t.every {
		saved.asked = 0
	}
	if saved.asked < quickAnswers {
		saved = t.ask(r, saved.asked+1)
		if t.saved == nil {
			t.saved = map[string]savedAnswer{}
		}
		t.saved[address] = saved
	}
	if saved.err != nil {
		return nil, saved.err
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", saved.status, http.StatusText(saved.status)), StatusCode: saved.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: saved.header.Clone(), Body: io.NopCloser(bytes.NewReader(saved.body)), ContentLength: int64(len(saved.body)), Request: r,
	}, nil
}

func (t *keyTransport) ask(r *http.Request, asked int) savedAnswer {
	saved := savedAnswer{at: time.Now(), asked: asked}
	response, err := t.next.RoundTrip(r)
	if err != nil {
		saved.err = err
		return saved
	}
	defer response.Body.Close()
	saved.status, saved.header = response.StatusCode, response.Header
	saved.body, saved.err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode != http.StatusOK {
		saved.err = fmt.Errorf("the issuer answers with status %d", response.StatusCode)
	}
	return saved
}
