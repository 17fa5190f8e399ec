package cluster_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"jobstrom/cluster"
	"jobstrom/cluster/clustertest"
)

// TestMain lets this test binary be the parent of TestBrokersDieWithTheirParent.
func TestMain(m *testing.M) {
	if os.Getenv(cluster.ParentEnv) != "" {
		cluster.BeParent()
	}
	os.Exit(clustertest.Main(m))
}

func start(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	o.Dir = cmp.Or(o.Dir, t.TempDir())
	o.Libs, o.Logger = clustertest.Libs(t), slog.New(slog.NewTextHandler(t.Output(), nil))
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

func client(t *testing.T, addrs []string, own ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...), kgo.RetryTimeout(10 * time.Second)}, own...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func createTopic(t *testing.T, c *kgo.Client, name string) {
	t.Helper()
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 3, -1, nil, name); err != nil {
		t.Fatal(err)
	}
}

func produce(ctx context.Context, c *kgo.Client, topic, value string) error {
	return c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
}

func TestThreeBrokersSurviveTheLossOfOne(t *testing.T) {
	dir := t.TempDir()
	c := start(t, cluster.Options{Brokers: 3, Dir: dir})
	k := client(t, c.Addrs())
	createTopic(t, k, "a")
	if err := produce(t.Context(), k, "a", "before"); err != nil {
		t.Fatal(err)
	}
	c.Kill(1)
	if err := produce(t.Context(), k, "a", "one is dead"); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	// A paused broker holds its connections and says nothing.
	if err := c.Pause(2); err != nil {
		t.Fatal(err)
	}
	if err := client(t, c.Addrs()[2:], kgo.RequestTimeoutOverhead(300*time.Millisecond), kgo.RetryTimeout(time.Second)).Ping(t.Context()); err == nil {
		t.Fatal("a paused broker answered")
	}
	if err := c.Resume(2); err != nil {
		t.Fatal(err)
	}
	if err := client(t, c.Addrs()[2:]).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	// An upgrade asks a broker to end, and it gives its partitions away first.
	pid := c.Pid(2)
	if err := c.Roll(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if c.Pid(2) == pid || c.Pid(2) == 0 {
		t.Errorf("the broker has the process id %d, had %d", c.Pid(2), pid)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "broker-2", "server.log")); err != nil || !strings.Contains(string(log), "controlled shutdown") {
		t.Errorf("the log, %v, says nothing of a controlled shutdown", err)
	}
	if err := produce(t.Context(), k, "a", "one was restarted"); err != nil {
		t.Fatal(err)
	}
	out, err := cluster.Tool(t.Context(), clustertest.Libs(t), "org.apache.kafka.tools.GetOffsetShell", "--bootstrap-server", c.Addrs()[1], "--topic", "a").Output()
	if got := strings.Fields(string(out)); err != nil || len(got) != 3 || !regexp.MustCompile(`(?m)^(a:[0-2]:[0-3]\n){3}$`).MatchString(string(out)) {
		t.Fatalf("the tool prints %q, %v", out, err)
	}
	offsets, err := kadm.NewClient(k).ListEndOffsets(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	var records int64
	offsets.Each(func(o kadm.ListedOffset) { records += o.Offset })
	if records != 3 {
		t.Fatalf("%d records are there, want 3", records)
	}
}

func TestSecureListenerDemandsWhatItShould(t *testing.T) {
	authority, err := cluster.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, cluster.Options{Security: &cluster.Security{Authority: authority, ClientCertificates: true, ACLs: true, Users: map[string]string{"alice": "secret", "bob": "other"}}})
	manager := client(t, c.Addrs())
	createTopic(t, manager, "a")
	if err := produce(t.Context(), manager, "a", "the first waits for coordinators"); err != nil {
		t.Fatal(err)
	}
	acls := kadm.NewACLs().Topics("a").ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite, kadm.OpDescribe).Allow("User:alice").AllowHosts()
	if results, err := kadm.NewClient(manager).CreateACLs(t.Context(), acls); err != nil || results[0].Err != nil {
		t.Fatal(err, results)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	certificate, key, err := authority.Issue("alice", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	full := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
	f := func(name, want string, config *tls.Config, mechanism sasl.Mechanism) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		for ; ; <-time.After(10 * time.Millisecond) {
			err := produce(ctx, client(t, c.SecureAddrs(), kgo.DialTLSConfig(config), kgo.SASL(mechanism), kgo.RequestRetries(0), kgo.RecordRetries(0)), "a", name)
			if want == "" && err == nil || want != "" && err != nil && strings.Contains(err.Error(), want) {
				return
			}
			// A broker learns of ACLs a little later, and is slow on a busy machine; but who must not write never does.
			if err == nil || ctx.Err() != nil {
				t.Errorf("%s: got %v, want %q", name, err, want)
				return
			}
		}
	}
	alice := scram.Auth{User: "alice", Pass: "secret"}
	f("SHA-512", "", full, alice.AsSha512Mechanism())
	f("SHA-256", "", full, alice.AsSha256Mechanism())
	f("PLAIN", "", full, plain.Auth{User: "alice", Pass: "secret"}.AsMechanism())
	f("wrong password", "SASL_AUTHENTICATION_FAILED", full, scram.Auth{User: "alice", Pass: "wrong"}.AsSha512Mechanism())
	f("no ACL", "TOPIC_AUTHORIZATION_FAILED", full, scram.Auth{User: "bob", Pass: "other"}.AsSha512Mechanism())
	f("no client certificate", "bad certificate", &tls.Config{RootCAs: roots}, alice.AsSha512Mechanism())
}

// What a failed start says is all that a user has.
func TestFailedStartShowsWhy(t *testing.T) {
	libs := clustertest.Libs(t)
	f := func(o cluster.Options, want ...string) {
		t.Helper()
		c, err := cluster.Start(t.Context(), o)
		if err == nil {
			c.Stop()
		}
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want %q", err, w)
			}
		}
	}
	f(cluster.Options{Brokers: 2, Security: &cluster.Security{}}, "dir must", "libs must", "brokers (2) must be 1 or 3", "needs an authority", "needs users")
	f(cluster.Options{Dir: t.TempDir(), Libs: t.TempDir()}, "formatting the data folder of broker 0", "ClassNotFoundException")
	f(cluster.Options{Dir: t.TempDir(), Libs: libs, Settings: map[string]string{"authorizer.class.name": "Nobody"}}, "broker 0: it ended by itself", "server.log", "Nobody")
}
