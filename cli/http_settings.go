package cli

import (
	"errors"
	"fmt"
	"net"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"jobstrom/security"
	"jobstrom/server/access"
	"jobstrom/server/api"
)

// Access holds the settings of who may use the web pages and the API, and how much of them.
type Access struct {
	Tokens          string   `koanf:"tokens"`
	OIDCIssuer      string   `koanf:"oidc-issuer"`
	OIDCAudience    string   `koanf:"oidc-audience"`
	OIDCScopesClaim string   `koanf:"oidc-scopes-claim"`
	OIDCCA          string   `koanf:"oidc-ca"`
	HTTPOpen        bool     `koanf:"http-open"`
	HTTPHosts       []string `koanf:"http-hosts"`
	HTTPCert        string   `koanf:"http-cert"`
	HTTPKey         string   `koanf:"http-key"`
	HTTPConnections int      `koanf:"http-connections"`
	CORSOrigins     []string `koanf:"cors-origins"`
	RateLimit       float64  `koanf:"rate-limit"`
	RateBurst       int      `koanf:"rate-burst"`
	MaxRequestBytes string   `koanf:"max-request-bytes"`
	MaxTexts        int      `koanf:"max-texts"`
	UnderWay        int      `koanf:"under-way"`
}

func addAccessFlags(f *pflag.FlagSet) {
	f.String("tokens", "", "`file` of the tokens that may use the web pages and the API, which jobstrom tokens new makes; without it and --oidc-issuer everybody may, from this machine alone")
	f.String("oidc-issuer", "", "`address` of an OpenID Connect issuer whose tokens (JWT) are taken, too, like https://login.example/realms/jobs")
	f.String("oidc-audience", "", "`name` that the issuer's tokens must be for (aud)")
	f.String("oidc-scopes-claim", "scope", "`claim` that holds their scopes: classify, publish or admin, with or without jobstrom: before it; dots lead into objects, as in realm_access.roles")
	f.String("oidc-ca", "", "PEM `file` of the authorities that may sign the issuer's certificate (default the machine's)")
	f.Bool("http-open", false, "let everybody in who reaches --http, with all rights: for a proxy in front that authenticates, or a port that only this machine reaches")
	f.StringSlice("http-hosts", nil, "`names` that the web pages and the API are asked by, besides localhost; requests for another are refused (default any with tokens or --http-open, else none besides)")
	f.String("http-cert", "", "PEM `file` of the certificate to serve --http with TLS, its authorities' below it; it is read again when it is renewed")
	f.String("http-key", "", "PEM `file` of that certificate's private key")
	f.Int("http-connections", 1024, "connections to --http at once; further ones wait")
	f.StringSlice("cors-origins", nil, "`origins` of other web pages whose scripts may use the API with a token, like https://intranet.example")
	f.Float64("rate-limit", 0, "`requests` a second that each token may make, or each address without one; a token's own rate comes first, 0 is any number")
	f.Int("rate-burst", 0, "`requests` that it may make at once; 0 is twice --rate-limit")
	f.String("max-request-bytes", "16MiB", "`bytes` of a request's body at most, 1KiB to 1GiB")
	f.Int("max-texts", 256, "vacancies of one batch at most; a stream of lines may hold any number")
	f.Int("under-way", 512, "vacancies of requests that may wait for an answer; more requests are told to come again (429)")
}

// Validate reports every violation.
func (a Access) Validate() error {
	var wrong []error
	check := func(ok bool, format string, values ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, values...))
		}
	}
	if err := a.accessOptions("").Validate(); err != nil {
		wrong = append(wrong, err)
	}
	wrong = append(wrong, a.serverTLS().Validate("http")...)
	check(a.HTTPConnections >= 1 && a.HTTPConnections <= 1_000_000, "http-connections (%d) must be 1 to 1000000", a.HTTPConnections)
	limits := a.apiLimits()
	check(limits.MaxBytes >= 1<<10 && limits.MaxBytes <= 1<<30, "max-request-bytes (%s) must be 1KiB to 1GiB", a.MaxRequestBytes)
	check(a.MaxTexts >= 1 && a.MaxTexts <= 1_000_000, "max-texts (%d) must be 1 to 1000000", a.MaxTexts)
	check(a.UnderWay >= 1 && a.UnderWay <= 1_000_000, "under-way (%d) must be 1 to 1000000", a.UnderWay)
	check(a.MaxTexts <= a.UnderWay, "max-texts (%d) must be at most under-way (%d), or such a batch would never be answered", a.MaxTexts, a.UnderWay)
	check(!a.HTTPOpen || a.Tokens == "" && a.OIDCIssuer == "", "http-open lets everybody in: leave it out with tokens or oidc-issuer")
	return errors.Join(wrong...)
}

// accessOptions returns what the settings say of a guard for a server at an address. Who makes it adds the board, the registerer and the log.
func (a Access) accessOptions(address string) access.Options {
	return access.Options{
		Tokens: a.Tokens, OIDC: access.OIDC{Issuer: a.OIDCIssuer, Audience: a.OIDCAudience, ScopesClaim: a.OIDCScopesClaim, CA: a.OIDCCA},
		Rate: a.RateLimit, Burst: a.RateBurst, Origins: a.CORSOrigins, Address: address, Open: a.HTTPOpen, Hosts: a.HTTPHosts,
	}
}

// apiLimits returns what the settings say of a request's size.
func (a Access) apiLimits() api.Limits {
	bytes, _ := humanize.ParseBytes(a.MaxRequestBytes) // 0 when it is none, which is not valid
	return api.Limits{MaxBytes: int64(bytes), MaxTexts: a.MaxTexts}
}

func (a Access) serverTLS() security.ServerTLS {
	return security.ServerTLS{Cert: a.HTTPCert, Key: a.HTTPKey}
}

// protected says whether the server asks for tokens.
func (a Access) protected() bool { return a.Tokens != "" || a.OIDCIssuer != "" }

// checkReach refuses to let everybody in from other machines by mistake.
func (c Config) checkReach() error {
	if c.protected() || c.HTTPOpen {
		return nil
	}
	address, err := net.ResolveTCPAddr("tcp", c.HTTP)
	if err != nil {
		return fmt.Errorf("looking up --http %s: %w", c.HTTP, err)
	}
	if address.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--http %s can be reached from other machines, and everybody there could classify, publish and promote models: give --tokens FILE (jobstrom tokens new NAME --tokens FILE makes one) or --oidc-issuer, listen on 127.0.0.1, or say with --http-open that a proxy in front authenticates (%w)", c.HTTP, errUsage)
}

// webURL returns where people find the web page of a server at an address.
func (a Access) webURL(address string) string {
	if a.HTTPCert != "" {
		return "https://" + address + "/"
	}
	return "http://" + address + "/"
}

// reachNote says who is let in.
func (a Access) reachNote() string {
	switch {
	case a.protected():
		return "tokens are asked for"
	case a.HTTPOpen:
		return "everybody who reaches it is let in"
	}
	return "listens on loopback only: tokens open it"
}
