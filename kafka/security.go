package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"jobstrom/security"
)

// Mechanisms of SASL.
const (
	Plain       = "PLAIN"
	Scram256    = "SCRAM-SHA-256"
	Scram512    = "SCRAM-SHA-512"
	OAuthBearer = "OAUTHBEARER"
)

var mechanisms = []string{Plain, Scram256, Scram512, OAuthBearer}

// SASL says as whom a client comes. The zero value comes as nobody.
type SASL struct {
	// Mechanism is one of the four above.
	Mechanism string
	// User and Password are for all but a ready token. With TokenURL they are the client's id and secret.
	User     string
	Password security.Credential
	// Token is a ready token for OAUTHBEARER.
	Token security.Credential
	// TokenURL gives tokens for OAUTHBEARER against User and Password, by OAuth 2's client credentials grant.
	TokenURL string
	// Scopes are asked for at TokenURL.
	Scopes []string
}

// Validate returns every violation, by the names of the settings.
func (s SASL) Validate() []error {
	var wrong []error
	add := func(bad bool, format string, values ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, values...))
		}
	}
	both := func(name string, c security.Credential) {
		if err := c.Validate(name); err != nil {
			wrong = append(wrong, err)
		}
	}
	both("kafka-password", s.Password)
	both("kafka-token", s.Token)
	bearer := s.Mechanism == OAuthBearer
	switch {
	case s.Mechanism == "":
		add(s.User != "", "kafka-user (%s) needs kafka-sasl, the mechanism: %s", s.User, strings.Join(mechanisms, ", "))
		add(!s.Password.IsZero(), "kafka-password needs kafka-sasl and kafka-user")
		add(!s.Token.IsZero() || s.TokenURL != "", "kafka-token and kafka-token-url need kafka-sasl %s", OAuthBearer)
		return wrong
	case !slices.Contains(mechanisms, s.Mechanism):
		add(true, "kafka-sasl (%s) must be one of %s", s.Mechanism, strings.Join(mechanisms, ", "))
		return wrong
	case bearer && s.TokenURL == "":
		add(s.Token.IsZero(), "kafka-sasl %s needs kafka-token-file, or kafka-token-url with kafka-user and kafka-password", OAuthBearer)
		add(s.User != "" || !s.Password.IsZero(), "kafka-user and kafka-password are of no use with a token: leave them out, or give kafka-token-url")
		add(len(s.Scopes) > 0, "kafka-scopes needs kafka-token-url")
		return wrong
	case bearer:
		add(!s.Token.IsZero(), "kafka-token and kafka-token-url are both given: keep one")
		u, err := url.Parse(s.TokenURL)
		add(err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http", "kafka-token-url must be https://host/path")
		add(err == nil && u.User != nil, "kafka-token-url must not hold a user: give kafka-user and kafka-password")
	default:
		add(!s.Token.IsZero() || s.TokenURL != "", "kafka-token and kafka-token-url need kafka-sasl %s, not %s", OAuthBearer, s.Mechanism)
	}
	add(s.User == "", "kafka-sasl %s needs kafka-user", s.Mechanism)
	add(s.Password.IsZero(), "kafka-sasl %s needs kafka-password (JOBSTROM_KAFKA_PASSWORD) or kafka-password-file", s.Mechanism)
	return wrong
}

// mechanism returns what authenticates each connection. Files are read, and tokens asked for, when one is made.
func (s SASL) mechanism(transport security.TLS) (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case Plain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := s.Password.Read()
			return plain.Auth{User: s.User, Pass: password.Reveal()}, err
		}), nil
	case OAuthBearer:
		token, err := s.tokens(transport)
		if err != nil {
			return nil, err
		}
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			t, err := token(ctx)
			return oauth.Auth{Token: t.Reveal()}, err
		}), nil
	}
	auth := func(context.Context) (scram.Auth, error) {
		password, err := s.Password.Read()
		return scram.Auth{User: s.User, Pass: password.Reveal()}, err
	}
	if s.Mechanism == Scram256 {
		return scram.Sha256(auth), nil
	}
	return scram.Sha512(auth), nil
}

// tokens returns how a token is come by. The token endpoint is trusted by the same authorities as the brokers.
func (s SASL) tokens(transport security.TLS) (func(context.Context) (security.Secret, error), error) {
	if s.TokenURL == "" {
		return func(context.Context) (security.Secret, error) { return s.Token.Read() }, nil
	}
	transport.ServerName = "" // that of the brokers
	tls, err := transport.Config()
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: tls, Proxy: http.ProxyFromEnvironment}}
	return func(ctx context.Context) (security.Secret, error) {
		secret, err := s.Password.Read()
		if err != nil {
			return "", err
		}
		config := clientcredentials.Config{ClientID: s.User, ClientSecret: secret.Reveal(), TokenURL: s.TokenURL, Scopes: s.Scopes}
		token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
		// The answer's body could hold what was sent, so only its status and code are repeated.
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) {
			return "", fmt.Errorf("asking %s for a token as %s: %s %.50s: are kafka-user and kafka-password those of the client there?", s.TokenURL, s.User, refused.Response.Status, refused.ErrorCode)
		}
		if err != nil {
			return "", fmt.Errorf("asking %s for a token: %w", s.TokenURL, err)
		}
		return security.Secret(token.AccessToken), nil
	}, nil
}

// securityOptions are the client's options for TLS and SASL.
func (o Options) securityOptions() ([]kgo.Opt, error) {
	var opts []kgo.Opt
	config, err := o.TLS.Config()
	if err != nil {
		return nil, err
	}
	if config != nil {
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	mechanism, err := o.SASL.mechanism(o.TLS)
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// Security says in a few words how clients come to the brokers, for people.
func (o Options) Security() string {
	said := o.TLS.String()
	switch {
	case o.SASL.Mechanism == "":
		return said
	case o.SASL.User != "":
		said += fmt.Sprintf(", %s as %s", o.SASL.Mechanism, o.SASL.User)
	default:
		said += ", " + o.SASL.Mechanism
	}
	if !o.TLS.Enabled && (o.SASL.Mechanism == Plain || o.SASL.Mechanism == OAuthBearer) {
		said += "; without TLS the secret travels readable"
	}
	return said
}
