package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"jobstrom/kafka"
	"jobstrom/security"
	"jobstrom/security/certs"
)

const password = "s3cret-of-the-test"

func given(s security.Secret) security.Credential { return security.Credential{Value: s} }

func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	b, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// reach dials a broker, or Apache Kafka where none is given, and returns why it cannot be reached. Neither the error nor the log may show the password.
func reach(t *testing.T, b *kfake.Cluster, o kafka.Options) error {
	t.Helper()
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if b != nil {
		o.Brokers = b.ListenAddrs()
	}
	wait := 3 * time.Second // also for those who say nothing
	if b == nil {
		wait = time.Minute // the first handshakes of Apache Kafka take long on a busy machine
	}
	c, err := kafka.NewClient(o, kgo.DialTimeout(wait), kgo.RequestTimeoutOverhead(wait))
	if err == nil {
		err = kafka.Reach(t.Context(), c, wait+time.Second)
		c.Close()
	}
	if strings.Contains(log.String(), password) || strings.Contains(fmt.Sprintf("%v %+v %#v %v", err, o, o, o.Security()), password) {
		t.Errorf("the password shows in %v or %s", err, &log)
	}
	if log.Len() == 0 && err == nil {
		t.Error("the log is empty: nothing was searched")
	}
	return err
}

func TestSecurityOfTheWire(t *testing.T) {
	ours := certs.NewAuthority(t)
	server, user := ours.Pair("server", time.Hour, "127.0.0.1"), ours.Pair("user", time.Hour)
	on := security.TLS{Enabled: true, CA: ours.CA}
	mutual := security.TLS{Enabled: true, CA: ours.CA, Cert: user.Cert, Key: user.Key}
	scram := func(mechanism string) kafka.SASL {
		return kafka.SASL{Mechanism: mechanism, User: "worker", Password: given(password)}
	}
	bare := fake(t)
	encrypted := fake(t, kfake.TLS(ours.Server(server, false)))
	demanding := fake(t, kfake.TLS(ours.Server(server, true)))
	all := fake(t, kfake.TLS(ours.Server(server, false)), kfake.EnableSASL(),
		kfake.Superuser(kafka.Plain, "worker", password), kfake.Superuser(kafka.Scram256, "worker", password), kfake.Superuser(kafka.Scram512, "worker", password))
	asking := fake(t, kfake.EnableSASL(), kfake.Superuser(kafka.Scram256, "worker", password))

	f := func(b *kfake.Cluster, o kafka.Options, want ...string) {
		t.Helper()
		err := reach(t, b, o)
		if (err == nil) != (len(want) == 0) {
			t.Errorf("got %v, want %q", err, want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want %q", err, w)
			}
		}
	}
	f(encrypted, kafka.Options{TLS: on})
	f(demanding, kafka.Options{TLS: mutual})
	for _, mechanism := range []string{kafka.Plain, kafka.Scram256, kafka.Scram512} {
		f(all, kafka.Options{TLS: on, SASL: scram(mechanism)})
	}
	f(asking, kafka.Options{SASL: scram(kafka.Scram256)})

	f(encrypted, kafka.Options{}, "asks for TLS (--kafka-tls)")
	f(bare, kafka.Options{TLS: on}, "does the broker speak TLS there (else leave --kafka-tls out)")
	f(encrypted, kafka.Options{TLS: security.TLS{Enabled: true}}, "not trusted here", "--kafka-ca")
	f(demanding, kafka.Options{TLS: on}, "--kafka-cert and --kafka-key")
	f(fake(t, kfake.TLS(ours.Server(ours.Pair("old", -time.Hour, "127.0.0.1"), false))), kafka.Options{TLS: on}, "expired at")
	f(fake(t, kfake.TLS(ours.Server(ours.Pair("other", time.Hour, "kafka-1"), false))), kafka.Options{TLS: on}, "is for kafka-1, not for 127.0.0.1", "--kafka-server-name")
	f(asking, kafka.Options{}, "asks for a user there (--kafka-sasl)")
	wrong := scram(kafka.Scram256)
	wrong.Password = given("wrong-" + password)
	f(asking, kafka.Options{SASL: wrong}, "--kafka-user or the password")
	f(asking, kafka.Options{SASL: kafka.SASL{Mechanism: kafka.OAuthBearer, Token: given(password)}}, "does not offer OAUTHBEARER there")
	f(bare, kafka.Options{SASL: scram(kafka.Plain)}, "leave --kafka-sasl out")
	missing := scram(kafka.Plain)
	missing.Password = security.Credential{File: "/nowhere/password"}
	f(all, kafka.Options{TLS: on, SASL: missing}, "nothing to authenticate with", "/nowhere/password")
}

// Apache Kafka says what kfake leaves to a closed connection, so its answers are put in.
func TestAnswersOfABroker(t *testing.T) {
	b := fake(t, kfake.EnableSASL(), kfake.Superuser(kafka.Plain, "worker", password))
	f := func(code int16, s kafka.SASL, want string) {
		t.Helper()
		b.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
			response := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
			if code == kerr.IllegalSaslState.Code {
				response.ErrorCode = code
			}
			return response, nil, true
		})
		b.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
			response := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			response.ErrorCode = code
			return response, nil, true
		})
		if err := reach(t, b, kafka.Options{SASL: s}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(kerr.SaslAuthenticationFailed.Code, kafka.SASL{Mechanism: kafka.Scram512, User: "worker", Password: given(password)}, "refuses the user or the password with SCRAM-SHA-512")
	f(kerr.SaslAuthenticationFailed.Code, kafka.SASL{Mechanism: kafka.OAuthBearer, Token: given(password)}, "refuses the token")
	b = fake(t, kfake.EnableSASL(), kfake.Superuser(kafka.Plain, "worker", password))
	f(kerr.IllegalSaslState.Code, kafka.SASL{Mechanism: kafka.Plain, User: "worker", Password: given(password)}, "asks for no user there")
}

// bearer is a broker that takes any token and keeps the newest.
func bearer(t *testing.T) (*kfake.Cluster, *atomic.Value) {
	b, token := fake(t), &atomic.Value{}
	b.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		return r.ResponseKind(), nil, true
	})
	b.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		token.Store(string(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes))
		return r.ResponseKind(), nil, true
	})
	return b, token
}

func TestTokenIsReadAtEachAuthentication(t *testing.T) {
	b, token := bearer(t)
	file := filepath.Join(t.TempDir(), "token")
	o := kafka.Options{SASL: kafka.SASL{Mechanism: kafka.OAuthBearer, Token: security.Credential{File: file}}}
	for _, want := range []string{"first" + password, "second" + password} {
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := reach(t, b, o); err != nil {
			t.Fatal(err)
		}
		if got, _ := token.Load().(string); !strings.Contains(got, "Bearer "+want+"\x01") {
			t.Fatalf("the broker got %q, want %s", got, want)
		}
	}
}

func TestTokenOfAnEndpoint(t *testing.T) {
	b, token := bearer(t)
	refuse := false
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, basic := r.BasicAuth()
		if !basic {
			id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		w.Header().Set("Content-Type", "application/json")
		if refuse || id != "worker" || secret != password || r.FormValue("scope") != "kafka read" || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"%s:%s is unknown"}`, id, secret) // an issuer that repeats what it got
			return
		}
		fmt.Fprint(w, `{"access_token":"issued","token_type":"Bearer","expires_in":60}`)
	}))
	defer issuer.Close()
	o := kafka.Options{SASL: kafka.SASL{Mechanism: kafka.OAuthBearer, TokenURL: issuer.URL + "/token", User: "worker", Password: given(password), Scopes: []string{"kafka", "read"}}}
	if err := reach(t, b, o); err != nil {
		t.Fatal(err)
	}
	if got, _ := token.Load().(string); !strings.Contains(got, "Bearer issued\x01") {
		t.Fatalf("the broker got %q", got)
	}
	refuse = true
	if err := reach(t, b, o); err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "invalid_client") {
		t.Fatalf("got %v", err)
	}
}

func TestSecurityValidate(t *testing.T) {
	f := func(o kafka.Options, want ...string) {
		t.Helper()
		o.Brokers = []string{"a:1"}
		err := o.Validate()
		if (err == nil) != (len(want) == 0) {
			t.Errorf("%+v: got %v, want %q", o, err, want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: got %v, want %q", o, err, w)
			}
		}
	}
	f(kafka.Options{SASL: kafka.SASL{Mechanism: "SCRAM"}}, "kafka-sasl (SCRAM) must be one of PLAIN, SCRAM-SHA-256")
	f(kafka.Options{SASL: kafka.SASL{User: "u", Password: given("p"), Token: given("t")}}, "kafka-user (u) needs kafka-sasl", "kafka-password needs", "need kafka-sasl OAUTHBEARER")
	f(kafka.Options{SASL: kafka.SASL{Mechanism: kafka.Plain}, TLS: security.TLS{CA: "ca"}}, "needs kafka-user", "needs kafka-password (JOBSTROM_KAFKA_PASSWORD)", "kafka-ca (ca) needs kafka-tls")
	f(kafka.Options{SASL: kafka.SASL{Mechanism: kafka.Plain, User: "u", Password: given("p"), Token: given("t")}}, "need kafka-sasl OAUTHBEARER, not PLAIN")
	f(kafka.Options{SASL: kafka.SASL{Mechanism: kafka.OAuthBearer}}, "needs kafka-token-file")
	f(kafka.Options{SASL: kafka.SASL{Mechanism: kafka.OAuthBearer, Token: given("t"), User: "u", Scopes: []string{"s"}}}, "are of no use with a token", "kafka-scopes needs")
	f(kafka.Options{SASL: kafka.SASL{Mechanism: kafka.OAuthBearer, Token: given("t"), TokenURL: "ftp://x", User: "u", Password: given("p")}}, "both given", "must be https://")
	f(kafka.Options{SASL: kafka.SASL{Mechanism: kafka.OAuthBearer, TokenURL: "https://u:p@x/", User: "u", Password: given("p")}}, "must not hold a user")
	f(kafka.Options{SASL: kafka.SASL{Mechanism: kafka.Scram256, User: "u", Password: security.Credential{Value: "p", File: "f"}}}, "kafka-password and kafka-password-file are both given")
	f(kafka.Options{SASL: kafka.SASL{Mechanism: kafka.OAuthBearer, TokenURL: "https://x/", User: "u", Password: given("p")}})
}

func TestCreatingTopicsIsDenied(t *testing.T) {
	b := fake(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.User(kafka.Plain, "worker", password, kfake.ACL{
		Resource: kmsg.ACLResourceTypeTopic, Name: kafka.Raw, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true,
	}))
	c, err := kafka.NewClient(kafka.Options{Brokers: b.ListenAddrs(), SASL: kafka.SASL{Mechanism: kafka.Plain, User: "worker", Password: given(password)}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = kafka.EnsureTopics(context.Background(), c, "abc", kafka.Layout{Partitions: 2, Replication: 1})
	if !errors.Is(err, kafka.ErrDenied) || !strings.Contains(err.Error(), "lacks Create on topic vacancies.raw") {
		t.Fatalf("got %v", err)
	}
}
