package kafka_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster"
	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
	"jobstrom/security"
	"jobstrom/security/certs"
)

// granted is a cluster with ACLs: grant leaves the user worker with exactly these rights.
type granted struct {
	worker kafka.Options
	admin  *kgo.Client
	grant  func(t *testing.T, rights []kafka.Right)
}

func grantedByFake(t *testing.T) granted {
	b := fake(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser(kafka.Plain, "admin", password), kfake.User(kafka.Plain, "worker", password))
	as := func(user string) kafka.Options {
		return kafka.Options{Brokers: b.ListenAddrs(), SASL: kafka.SASL{Mechanism: kafka.Plain, User: user, Password: given(password)}}
	}
	admin, err := kafka.NewClient(as("admin"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	return granted{as("worker"), admin, clustertest.Granter(admin, "worker")}
}

func grantedByApache(t *testing.T, c *cluster.Cluster, authority *certs.Authority) granted {
	return granted{kafka.Options{
		Brokers: c.SecureAddrs(), TLS: security.TLS{Enabled: true, CA: authority.CA},
		SASL: kafka.SASL{Mechanism: kafka.Scram512, User: "worker", Password: given(password)},
	}, client(t, c.Addrs()...), clustertest.Granter(client(t, c.Addrs()...), "worker")}
}

// Every right that a command lacks is named, before anything runs into it; and with all of them EnsureTopics asks for no more.
func missingRights(t *testing.T, g granted) {
	const encoder = "abc"
	layout := kafka.Layout{Partitions: 2, Replication: 1}
	if err := kafka.EnsureTopics(t.Context(), g.admin, encoder, layout); err != nil {
		t.Fatal(err)
	}
	worker, err := kafka.NewClient(g.worker)
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	for _, role := range kafka.Roles(encoder) {
		for without := -1; without < len(role.Rights); without++ {
			rights, want := slices.Clone(role.Rights), []kafka.Right(nil)
			if without >= 0 {
				rights, want = slices.Delete(rights, without, without+1), role.Rights[without:without+1]
			}
			g.grant(t, rights)
			var missing []kafka.Right
			for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) { // a broker learns of ACLs a little later
				if missing, err = kafka.Missing(t.Context(), worker, role.Rights); err != nil {
					t.Fatal(err)
				}
				if slices.Equal(missing, want) || time.Now().After(deadline) {
					break
				}
			}
			if !slices.Equal(missing, want) {
				t.Errorf("%s: got %v, want %v", role.Command, missing, want)
			}
		}
		if err := kafka.EnsureTopics(t.Context(), worker, encoder, layout); err != nil {
			t.Errorf("%s: a worker needs no right to create what is there: %v", role.Command, err)
		}
	}
}

// What is refused is named with the right that is missing.
func deniedIsNamed(t *testing.T, g granted) {
	worker, err := kafka.NewClient(g.worker)
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	f := func(want string, rights []kafka.Right, do func() error) {
		t.Helper()
		g.grant(t, rights)
		var err error
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
			if err = do(); errors.Is(err, kafka.ErrDenied) && strings.Contains(err.Error(), want) {
				return
			}
		}
		t.Errorf("got %v, want %q", err, want)
	}
	f("lacks Create on topic vacancies.embedded.new", []kafka.Right{kafka.DescribeTopic("vacancies.embedded.new")}, func() error {
		return kafka.EnsureTopics(t.Context(), worker, "new", kafka.Layout{Partitions: 2, Replication: 1})
	})
	f("lacks Describe on topic vacancies.raw", nil, func() error {
		_, err := kafka.IDOf(t.Context(), worker, kafka.Raw)
		return kafka.Denied(err, kafka.DescribeTopic(kafka.Raw))
	})
	f("lacks Write on topic vacancies.raw", []kafka.Right{kafka.DescribeTopic(kafka.Raw)}, func() error {
		return kafka.Denied(worker.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Raw, Value: []byte("x")}).FirstErr(), kafka.WriteTopic(kafka.Raw))
	})
	f("lacks Write on transactional id jobstrom.replay", []kafka.Right{kafka.WriteTopic(kafka.Raw)}, func() error {
		c, err := kafka.NewClient(g.worker, kgo.TransactionalID("jobstrom.replay"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _, err = c.ProducerID(t.Context())
		return kafka.Denied(err, kafka.WriteTopic(kafka.Raw), kafka.WriteTransactions("jobstrom.replay"))
	})
	f("lacks Read on group jobstrom.sink", nil, func() error {
		_, err := kadm.NewClient(worker).FetchOffsets(t.Context(), "jobstrom.sink")
		return kafka.Denied(err, kafka.ReadGroup("jobstrom.sink"))
	})
}

func TestRightsOnKfake(t *testing.T) {
	g := grantedByFake(t)
	t.Run("missing", func(t *testing.T) { missingRights(t, g) })
	t.Run("denied", func(t *testing.T) { deniedIsNamed(t, g) })
	t.Run("size", func(t *testing.T) { sizeDenied(t, g) })
	t.Run("topics", func(t *testing.T) { topicsRights(t, g) })
}

func startApache(t *testing.T, s cluster.Security, settings map[string]string) *cluster.Cluster {
	t.Helper()
	libs := clustertest.Libs(t)
	c, err := cluster.Start(t.Context(), cluster.Options{Dir: t.TempDir(), Libs: libs, Security: &s, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// Apache Kafka with TLS, passwords and ACLs.
func TestApacheKafkaWithPasswords(t *testing.T) {
	ours := certs.NewAuthority(t)
	c := startApache(t, cluster.Security{Authority: ours.Authority, ACLs: true, Users: map[string]string{"worker": password}}, map[string]string{
		// Kafka's own validator takes tokens without a signature, for tests.
		"listener.name.secure.sasl.enabled.mechanisms":      "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"listener.name.secure.oauthbearer.sasl.jaas.config": `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
	})
	on := security.TLS{Enabled: true, CA: ours.CA}
	as := func(mechanism string, p security.Secret) kafka.SASL {
		return kafka.SASL{Mechanism: mechanism, User: "worker", Password: given(p)}
	}
	f := func(o kafka.Options, want string) {
		t.Helper()
		if o.Brokers == nil {
			o.Brokers = c.SecureAddrs()
		}
		err := reach(t, nil, o)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s at %v: got %v, want %q", o.Security(), o.Brokers, err, want)
		}
	}
	poll(t, "the broker lets the worker in", func() bool {
		return reach(t, nil, kafka.Options{Brokers: c.SecureAddrs(), TLS: on, SASL: as(kafka.Scram512, password)}) == nil
	})
	for _, mechanism := range []string{kafka.Plain, kafka.Scram256, kafka.Scram512} {
		f(kafka.Options{TLS: on, SASL: as(mechanism, password)}, "")
		f(kafka.Options{TLS: on, SASL: as(mechanism, "wr0ng-"+password)}, "refuses the user or the password with "+mechanism)
	}
	bearer := func(expiry time.Duration) kafka.SASL {
		now := time.Now().Unix()
		part := base64.RawURLEncoding.EncodeToString
		claims := fmt.Appendf(nil, `{"sub":"worker","iat":%d,"exp":%d}`, now-7200, now+int64(expiry.Seconds()))
		return kafka.SASL{Mechanism: kafka.OAuthBearer, Token: given(security.Secret(part([]byte(`{"alg":"none"}`)) + "." + part(claims) + "."))}
	}
	f(kafka.Options{TLS: on, SASL: bearer(time.Hour)}, "")
	f(kafka.Options{TLS: on, SASL: bearer(-time.Hour)}, "refuses the token")
	f(kafka.Options{TLS: on}, "asks for a user there (--kafka-sasl)")
	f(kafka.Options{SASL: as(kafka.Scram512, password)}, "give --kafka-tls")
	f(kafka.Options{}, "give --kafka-tls")
	f(kafka.Options{TLS: security.TLS{Enabled: true}, SASL: as(kafka.Scram512, password)}, "not trusted here")
	f(kafka.Options{TLS: security.TLS{Enabled: true, CA: ours.CA, ServerName: "kafka-1"}, SASL: as(kafka.Scram512, password)}, "is for localhost, 127.0.0.1, not for kafka-1")
	f(kafka.Options{Brokers: c.Addrs(), TLS: on, SASL: as(kafka.Scram512, password)}, "leave --kafka-tls out")
	f(kafka.Options{Brokers: c.Addrs(), SASL: as(kafka.Scram512, password)}, "leave --kafka-sasl out")
	g := grantedByApache(t, c, ours)
	t.Run("missing", func(t *testing.T) { missingRights(t, g) })
	t.Run("denied", func(t *testing.T) { deniedIsNamed(t, g) })
	t.Run("size", func(t *testing.T) { sizeDenied(t, g) })
	t.Run("topics", func(t *testing.T) { topicsRights(t, g) })
}

// Apache Kafka that knows clients by their certificates, and shows an expired one itself.
func TestApacheKafkaWithCertificates(t *testing.T) {
	ours, strangers := certs.NewAuthority(t), certs.NewAuthority(t)
	user, stranger, old := ours.Pair("user", time.Hour), strangers.Pair("user", time.Hour), ours.Pair("old", -time.Hour)
	c := startApache(t, cluster.Security{Protocol: "SSL", Authority: ours.Authority, ClientCertificates: true}, nil)
	expired := startApache(t, cluster.Security{Protocol: "SSL", Authority: ours.Authority, Expiry: time.Now().Add(-time.Hour)}, nil)
	f := func(c *cluster.Cluster, o security.TLS, want string) {
		t.Helper()
		o.Enabled = true
		err := reach(t, nil, kafka.Options{Brokers: c.SecureAddrs(), TLS: o})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(c, security.TLS{CA: ours.CA, Cert: user.Cert, Key: user.Key}, "")
	f(c, security.TLS{CA: ours.CA}, "--kafka-cert")
	f(c, security.TLS{CA: ours.CA, Cert: stranger.Cert, Key: stranger.Key}, "signed by an authority it trusts")
	f(c, security.TLS{CA: ours.CA, Cert: old.Cert, Key: old.Key}, "ertificate")
	f(expired, security.TLS{CA: ours.CA}, "the server's certificate expired at")
}
