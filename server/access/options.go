package access

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/health"
)

// Options configure a Guard. Without Tokens and without an issuer everybody who reaches the server may do everything.
type Options struct {
	// Tokens is a file of bearer tokens, see Token. It is read again when it changes.
	Tokens string
	OIDC   OIDC
	// Rate is how many requests a second a caller may make in the long run, 0 any number; Burst how many at once, 0 twice as many as a second's, at least 1.
	Rate  float64
	Burst int
	// Origins are web pages of others whose scripts may ask, like https://intranet.example. None by default.
	Origins []string
	// Address is where the server listens, host:port.
	Address string
	// Open says that a proxy in front authenticates, and decides which hosts it answers for.
	Open bool
	// Hosts are names that the server is asked by. When none are given, any will do, unless everybody is let in and nobody stands in front: then only those of the machine itself
	// will, or a page of somebody's could rebind its name to this address and ask with the user's browser.
	Hosts []string
	// Session is how long a session of the web pages lasts, by default 12 hours.
	Session time.Duration
	// Refuse answers a request that the Guard refuses. By default it is a problem of RFC 9457.
	Refuse func(http.ResponseWriter, *http.Request, *Refusal)

	// Board is told what keeps tokens from being checked.
	Board      *health.Board
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// OIDC names who issues tokens. Its tokens are JSON Web Tokens with an asymmetric signature.
type OIDC struct {
	// Issuer is its address, whose /.well-known/openid-configuration is read. "" is none.
	Issuer string
	// Audience is what a token must be for.
	Audience string
	// ScopesClaim holds scopes, separated by spaces or in a list, each with or without jobstrom: before it. Dots lead into objects. By default scope.
	ScopesClaim string
	// CA is a PEM file of the authorities that may sign the issuer's certificate, by default those of the machine.
	CA string
	// Leeway is how far the issuer's clock may be off, by default a minute.
	Leeway time.Duration
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.Session == 0 {
		o.Session = 12 * time.Hour
	}
	if o.OIDC.ScopesClaim == "" {
		o.OIDC.ScopesClaim = "scope"
	}
	if o.OIDC.Leeway == 0 {
		o.OIDC.Leeway = time.Minute
	}
	if o.Refuse == nil {
		o.Refuse = writeProblem
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every violation, by the names of the settings.
func (o Options) Validate() error {
	var wrong []error
	check := func(ok bool, format string, values ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, values...))
		}
	}
	check(!strings.HasPrefix(o.Tokens, Prefix), "tokens must name a file of tokens; what is given looks like a token itself, which others may have seen now: revoke it")
	check(o.Rate >= 0 && o.Rate <= 1e6, "rate-limit (%g) must be 0 to 1000000 requests a second", o.Rate)
	check(o.Burst >= 0 && o.Burst <= 1e6, "rate-burst (%d) must be 0 to 1000000 requests", o.Burst)
	check(o.Burst == 0 || o.Rate > 0 || o.Tokens != "", "rate-burst (%d) needs rate-limit", o.Burst)
	for _, origin := range o.Origins {
		check(isOrigin(origin), "cors-origins (%s) must be origins as browsers send them, https://host or https://host:port, without path; all origins (*) cannot be allowed", origin)
	}
	for _, host := range o.Hosts {
		check(host != "" && !strings.ContainsAny(host, "/@ ") && hostOf(host) == strings.ToLower(strings.Trim(host, "[]")), "http-hosts (%s) must be names or addresses without port", host)
	}
	if o.Session != 0 {
		check(o.Session >= time.Minute && o.Session <= 30*24*time.Hour, "the session (%s) must last 1m0s to 720h0m0s", o.Session)
	}
	return errors.Join(append(wrong, o.OIDC.validate()...)...)
}

func (o OIDC) validate() []error {
	var wrong []error
	if o.Issuer == "" {
		for _, s := range []struct{ name, value string }{{"audience", o.Audience}, {"ca", o.CA}} {
			if s.value != "" {
				wrong = append(wrong, fmt.Errorf("oidc-%s (%s) needs oidc-issuer", s.name, s.value))
			}
		}
		return wrong
	}
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		wrong = append(wrong, errors.New("oidc-issuer must be an address like https://login.example/realms/jobs, without user, query and fragment"))
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		wrong = append(wrong, fmt.Errorf("oidc-issuer (%s) must begin with https://: its keys decide whom to believe", o.Issuer))
	}
	if o.Audience == "" {
		wrong = append(wrong, errors.New("oidc-issuer needs oidc-audience: without, tokens that were issued for other services would do here"))
	}
	return wrong
}

// isOrigin says whether a string is an origin as browsers send it.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Scheme+"://"+strings.ToLower(u.Host) == s && !strings.Contains(u.Host, "*") && u.User == nil
}

// hostOf returns the name or address of a Host header, in lower case, without port and brackets.
func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return strings.ToLower(host)
}

// isLoopback says whether a host is this machine whatever its network says.
func isLoopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") // RFC 6761, 6.3
}
