package consumers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster"
	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
	"jobstrom/security"
	"jobstrom/security/certs"
)

// A worker that lacks a right ends, and says which: it does not try for ever. One that has those of docs/security.md and no more works.
func workerWithRights(t *testing.T, admin *kgo.Client, worker kafka.Options, roots kafka.Options) {
	grant := clustertest.Granter(admin, "worker")
	if err := kafka.EnsureTopics(t.Context(), admin, testEncoder, kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	publish(t, admin, 0, 10)
	w := store(t)
	check, err := kafka.NewClient(worker)
	if err != nil {
		t.Fatal(err)
	}
	defer check.Close()
	// granted waits until the broker knows what the user may do.
	granted := func(all, rights []kafka.Right) {
		t.Helper()
		grant(t, rights)
		for deadline := time.Now().Add(3 * time.Minute); ; <-time.After(10 * time.Millisecond) {
			missing, err := kafka.Missing(t.Context(), check, all)
			if err == nil && len(missing) == len(all)-len(rights) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("granted %v, missing %v, %v", rights, missing, err)
			}
		}
	}
	runs := map[string]func(ctx context.Context) error{
		"run extract": func(ctx context.Context) error {
			return Run(ctx, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: worker, Workers: 1, Retries: 1})
		},
		"run sink": func(ctx context.Context) error {
			return Sink(ctx, SinkOptions{Kafka: worker, Warehouse: w, Encoder: testEncoder})
		},
	}
	for _, role := range kafka.Roles(testEncoder) {
		run := runs[role.Command]
		for i, right := range role.Rights {
			if run == nil || right == kafka.WriteTopic(kafka.Labels) || right == kafka.WriteTopic(kafka.APIPredictions) { // the echo writes neither
				continue
			}
			granted(role.Rights, slices.Delete(slices.Clone(role.Rights), i, i+1))
			malformed := &kgo.Record{Topic: kafka.Labels, Value: []byte(`{"id":1}`)} // makes the sink write a dead letter
			if err := admin.ProduceSync(t.Context(), malformed).FirstErr(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			err := run(ctx)
			cancel()
			named := kafka.NameDenied(t.Context(), worker, err, role.Rights)
			if !errors.Is(named, kafka.ErrDenied) || Judge(err) != Fatal {
				t.Errorf("%s without %s: got %v", role.Command, right, named)
			} else if want := "lacks " + right.String() + ":"; !strings.Contains(named.Error(), want) {
				t.Errorf("%s: got %v, want %q", role.Command, named, want)
			}
		}
	}
	extract := kafka.Roles(testEncoder)[0]
	granted(extract.Rights, extract.Rights)
	stop := start(t, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: worker})
	collect(t, roots, 9, kafka.Extracted)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestWorkerWithoutARight(t *testing.T) {
	const password = "s3cret-of-the-test"
	as := func(user string, o kafka.Options) kafka.Options {
		o.SASL = kafka.SASL{Mechanism: kafka.Plain, User: user, Password: security.Credential{Value: password}}
		return o
	}
	admin := func(t *testing.T, o kafka.Options) *kgo.Client {
		t.Helper()
		c, err := kafka.NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	t.Run("kfake", func(t *testing.T) {
		b, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser(kafka.Plain, "admin", password), kfake.User(kafka.Plain, "worker", password),
			kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		o := kafka.Options{Brokers: b.ListenAddrs()}
		workerWithRights(t, admin(t, as("admin", o)), as("worker", o), as("admin", o))
	})
	t.Run("apache", func(t *testing.T) {
		authority := certs.NewAuthority(t)
		c, err := cluster.Start(t.Context(), cluster.Options{Dir: t.TempDir(), Libs: clustertest.Libs(t), Security: &cluster.Security{
			Authority: authority.Authority, ACLs: true, Users: map[string]string{"worker": password},
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Stop)
		plain := kafka.Options{Brokers: c.Addrs()}
		secure := as("worker", kafka.Options{Brokers: c.SecureAddrs(), TLS: security.TLS{Enabled: true, CA: authority.CA}})
		secure.SASL.Mechanism = kafka.Scram256
		workerWithRights(t, admin(t, plain), secure, plain)
	})
}
