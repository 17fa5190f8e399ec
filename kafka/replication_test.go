package kafka_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"jobstrom/cluster"
	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
	"jobstrom/security/certs"
)

// threeBrokers is a cluster, seen by who may do everything and by a user with the rights of topics apply.
type threeBrokers struct {
	*cluster.Cluster
	all, worker *kgo.Client
}

// replicated declares that many replicas of each topic, and how many of them must be in sync.
func replicated(t *testing.T, n, inSync int) []kafka.Declaration {
	t.Helper()
	return declare(t, map[string]map[string]string{"*": {"replication.factor": fmt.Sprint(n), "min.insync.replicas": fmt.Sprint(inSync)}})
}

// slow lets replicas of drift.events that are not in sync copy a batch in ten seconds, or as fast as they can again. Leaders hold back, too: a follower that starts
// copies before it has read its own limit.
func (b threeBrokers) slow(t *testing.T, yes bool) {
	t.Helper()
	admin := kadm.NewClient(b.all)
	alter := func(value string, names ...string) (all []kadm.AlterConfig) {
		for _, name := range names {
			c := kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name}
			if yes {
				c.Op, c.Value = kadm.SetConfig, &value
			}
			all = append(all, c)
		}
		return all
	}
	brokers, err := admin.AlterBrokerConfigs(t.Context(), alter("1", "follower.replication.throttled.rate", "leader.replication.throttled.rate"))
	if err != nil || brokers[0].Err != nil {
		t.Fatal(brokers, err)
	}
	topics, err := admin.AlterTopicConfigs(t.Context(), alter("*", "follower.replication.throttled.replicas", "leader.replication.throttled.replicas"), kafka.DriftEvents)
	if err != nil || topics[0].Err != nil {
		t.Fatal(topics, err)
	}
}

// events writes 40 batches to drift.events, which has one partition.
func (b threeBrokers) events(t *testing.T) {
	t.Helper()
	for range 40 {
		if err := b.all.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.DriftEvents, Value: bytes.Repeat([]byte{7}, 1000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// partition describes the one partition of drift.events.
func (b threeBrokers) partition(t *testing.T) kadm.PartitionDetail {
	t.Helper()
	topics, err := kafka.ListTopics(t.Context(), b.all, "abc")
	if err != nil {
		t.Fatal(err)
	}
	return topics[kafka.DriftEvents].Partitions[0]
}

// poll waits until something is so; brokers that have just come or gone answer with errors, or late.
func poll(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !so(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 2 minutes until %s", what)
		}
	}
}

// holds waits until nothing is wrong: a broker learns a little later than the controller what has become of replicas, and one that a busy machine keeps from
// answering is out of sync for a while.
func holds(t *testing.T, wrong func() []string) {
	t.Helper()
	var last []string
	defer func() {
		if t.Failed() && len(last) > 0 {
			t.Logf("wrong to the last: %s", strings.Join(last, "; "))
		}
	}()
	poll(t, "nothing is wrong", func() bool { last = wrong(); return len(last) == 0 })
}

// polledPlan waits until the plan's first difference of drift.events is of that kind, with that note.
func (b threeBrokers) polledPlan(t *testing.T, declared []kafka.Declaration, kind kafka.Kind, note string) {
	t.Helper()
	var last []kafka.Change
	var err error
	defer func() {
		if t.Failed() {
			t.Logf("last planned: %q, %v", lines(last), err)
		}
	}()
	poll(t, fmt.Sprintf("the plan says %s, %s", kind, note), func() bool {
		var p kafka.TopicPlan
		p, err = kafka.PlanTopics(t.Context(), b.worker, declared)
		last = p.Changes
		i := slices.IndexFunc(last, func(c kafka.Change) bool { return c.Topic == kafka.DriftEvents && c.What == "replication.factor" })
		return err == nil && i >= 0 && last[i].Kind == kind && strings.Contains(last[i].Note, note)
	})
}

// known waits until every broker knows what the worker was granted on the cluster, and on topics, which need not be there. They learn of it one by one.
func (b threeBrokers) known(t *testing.T, rights []kafka.Right) {
	t.Helper()
	on := kmsg.NewPtrDescribeClusterRequest()
	on.IncludeClusterAuthorizedOperations = true
	of := kmsg.NewPtrMetadataRequest()
	for _, name := range kafka.TopicNames("abc") {
		of.Topics = append(of.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	}
	for broker := range 3 {
		poll(t, fmt.Sprintf("broker %d knows %v", broker, rights), func() bool {
			cluster, err := on.RequestWith(t.Context(), b.worker.Broker(broker))
			if err != nil || cluster.ClusterAuthorizedOperations&(1<<kmsg.ACLOperationAlter) == 0 {
				return false
			}
			topics, err := of.RequestWith(t.Context(), b.worker.Broker(broker))
			return err == nil && !slices.ContainsFunc(topics.Topics, func(topic kmsg.MetadataResponseTopic) bool {
				return topic.ErrorCode == kerr.TopicAuthorizationFailed.Code
			})
		})
	}
}

// check sees that each partition lies on that many brokers, all in sync, that nothing more is planned and that no record is gone.
func (b threeBrokers) check(t *testing.T, want, inSync, events int) {
	t.Helper()
	var load map[int32]int
	holds(t, func() (wrong []string) {
		if p := plan(t, b.all, replicated(t, want, inSync)); len(p.Changes) != 0 {
			wrong = append(wrong, fmt.Sprintf("after Apply %q is planned", lines(p.Changes)))
		}
		topics, err := kafka.ListTopics(t.Context(), b.all, "abc")
		if err != nil {
			t.Fatal(err)
		}
		load = map[int32]int{}
		for _, topic := range topics {
			for _, p := range topic.Partitions {
				distinct := slices.Compact(slices.Sorted(slices.Values(p.Replicas)))
				if len(distinct) != want || len(p.Replicas) != want || len(p.ISR) != want {
					wrong = append(wrong, fmt.Sprintf("%s/%d lies on %v and is in sync on %v, want %d brokers", topic.Topic, p.Partition, p.Replicas, p.ISR, want))
				}
				for _, broker := range p.Replicas {
					load[broker]++
				}
			}
			if got := setting(t, b.all, topic.Topic, "min.insync.replicas"); got != fmt.Sprint(inSync) {
				wrong = append(wrong, fmt.Sprintf("%s: %s replicas must be in sync, want %d", topic.Topic, got, inSync))
			}
		}
		return wrong
	})
	t.Logf("%d replicas: %v on each broker", want, slices.Sorted(maps.Values(load)))
	if n := count(t, b.all, kafka.DriftEvents); n != int64(events) {
		t.Errorf("%d records are left, want %d", n, events)
	}
}

// spread sees that the partitions of a topic, each with a replica, lie on different brokers, however few led them all before.
func (b threeBrokers) spread(t *testing.T) {
	t.Helper()
	holds(t, func() (wrong []string) {
		topics, err := kafka.ListTopics(t.Context(), b.all, "abc")
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			on := map[int32]bool{}
			for _, p := range topic.Partitions {
				on[p.Leader] = true
			}
			if len(on) != len(topic.Partitions) {
				wrong = append(wrong, fmt.Sprintf("%d partitions of %s lie on the brokers %v", len(topic.Partitions), topic.Topic, slices.Collect(maps.Keys(on))))
			}
		}
		return wrong
	})
}

// Three brokers: replicas come and go by the brokers' own moves, and what must be in sync fits at every moment. All is done with the rights of docs/security.md.
func TestReplication(t *testing.T) {
	authority := certs.NewAuthority(t)
	c, err := cluster.Start(t.Context(), cluster.Options{
		Dir: t.TempDir(), Libs: clustertest.Libs(t), Brokers: 3, Security: &cluster.Security{Authority: authority.Authority, ACLs: true, Users: map[string]string{"worker": password}},
		Settings: map[string]string{
			"min.insync.replicas": "1", "replica.fetch.max.bytes": "1000", // a batch at once
			"broker.session.timeout.ms": "30000", // or a busy machine makes the brokers take each other for dead
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	g := grantedByApache(t, c, authority)
	worker, err := kafka.NewClient(g.worker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(worker.Close)
	b := threeBrokers{c, g.admin, worker}
	rights := kafka.RightsOf("topics apply", "abc")
	g.grant(t, rights)
	b.known(t, rights)
	apply(t, worker, declare(t, nil), kafka.ApplyOptions{})
	b.events(t)
	b.check(t, 1, 1, 40)
	ok := t.Run("a right less", func(t *testing.T) {
		g.until(t, rights[:len(rights)-1], func() error {
			p, err := kafka.PlanTopics(t.Context(), worker, replicated(t, 2, 1))
			if err == nil {
				_, err = p.Apply(t.Context(), worker, kafka.ApplyOptions{})
			}
			return err
		}, named(kafka.AlterCluster()))
		g.grant(t, rights)
		b.known(t, rights)
	})
	for _, step := range []struct {
		name string
		test func(t *testing.T, b threeBrokers)
	}{{"waits", replicasAreWaitedFor}, {"lags", laggingReplicasStay}, {"goes", replicasGo}} {
		ok = ok && t.Run(step.name, func(t *testing.T) { step.test(t, b) }) // each begins with what the one before left
	}
}

// More replicas must be in sync only when they are there: also when an Apply before gave up waiting for them.
func replicasAreWaitedFor(t *testing.T, b threeBrokers) {
	b.slow(t, true)
	for i, p := range []kafka.TopicPlan{plan(t, b.worker, replicated(t, 3, 2)), {}} {
		if i == 1 {
			b.polledPlan(t, replicated(t, 3, 2), kafka.UnderWay, "the brokers move its replicas")
			p = plan(t, b.worker, replicated(t, 3, 2))
		}
		done, err := p.Apply(t.Context(), b.worker, kafka.ApplyOptions{Wait: 2 * time.Second})
		if err == nil || !strings.Contains(err.Error(), "waiting for the brokers to move replicas") {
			t.Fatalf("Apply %d did %q, %v, and replicas are still on their way", i+1, lines(done), err)
		}
		if slices.ContainsFunc(done, func(c kafka.Change) bool { return c.Kind != kafka.Reassign }) || i == 0 && len(done) != len(kafka.Topics("abc")) {
			t.Errorf("Apply %d did %q before the replicas were there", i+1, lines(done))
		}
		if got := setting(t, b.all, kafka.DriftEvents, "min.insync.replicas"); got != "1" {
			t.Errorf("%s replicas must be in sync of one that is", got)
		}
	}
	if isr := b.partition(t).ISR; len(isr) != 1 {
		t.Fatalf("in sync are %v: the copies were to be slow", isr)
	}
	b.slow(t, false)
	apply(t, b.worker, replicated(t, 3, 2), kafka.ApplyOptions{})
	b.check(t, 3, 2, 40)
	// Two must be in sync and one would be left.
	for _, change := range plan(t, b.worker, kafka.Declare("abc", kafka.Layout{Partitions: 2, Replication: 1})).Changes {
		if change.What == "replication.factor" && change.Kind != kafka.Refused {
			t.Errorf("one of which two must be in sync: %v", change)
		}
	}
}

// Replicas do not go while one of those that would stay lags: only the others have what it lacks.
func laggingReplicasStay(t *testing.T, b threeBrokers) {
	apply(t, b.worker, replicated(t, 3, 1), kafka.ApplyOptions{})
	b.slow(t, true)
	before := b.partition(t)
	leader := before.Leader
	for _, follower := range before.Replicas {
		if follower == leader {
			continue
		}
		b.Kill(int(follower))
		poll(t, "the dead replica is out of sync", func() bool { return !slices.Contains(b.partition(t).ISR, follower) })
		b.events(t)
		if err := b.Restart(t.Context(), int(follower)); err != nil {
			t.Fatal(err)
		}
	}
	fewer := declare(t, map[string]map[string]string{"*": {"replication.factor": "3"}, kafka.DriftEvents: {"replication.factor": "2"}})
	b.polledPlan(t, fewer, kafka.Refused, "the replicas that would stay are not all in sync")
	if done := apply(t, b.worker, fewer, kafka.ApplyOptions{}); len(done) != 0 {
		t.Errorf("did %q", lines(done))
	}
	holds(t, func() (wrong []string) {
		if p := b.partition(t); len(p.Replicas) != 3 || !slices.Equal(p.ISR, []int32{leader}) {
			wrong = append(wrong, fmt.Sprintf("lies on %v, in sync on %v: want three replicas, and %d in sync", p.Replicas, p.ISR, leader))
		}
		return wrong
	})
	b.slow(t, false)
	b.polledPlan(t, fewer, kafka.Reassign, "")
	poll(t, "all replicas are in sync", func() bool { return len(b.partition(t).ISR) == 3 })
	apply(t, b.worker, fewer, kafka.ApplyOptions{})
	holds(t, func() (wrong []string) {
		if p := b.partition(t); len(p.Replicas) != 2 || !slices.Contains(p.Replicas, leader) {
			wrong = append(wrong, fmt.Sprintf("lies on %v, want %d and another", p.Replicas, leader))
		}
		return wrong
	})
}

// Fewer must be in sync before replicas go, down to one; of a broker that is away they go first.
func replicasGo(t *testing.T, b threeBrokers) {
	apply(t, b.worker, replicated(t, 3, 2), kafka.ApplyOptions{})
	b.check(t, 3, 2, 120)
	done := apply(t, b.worker, replicated(t, 1, 1), kafka.ApplyOptions{})
	b.check(t, 1, 1, 120)
	b.spread(t)
	first := slices.IndexFunc(done, func(c kafka.Change) bool { return c.Kind == kafka.Reassign })
	if first < 1 || slices.ContainsFunc(done[first:], func(c kafka.Change) bool { return c.What == "min.insync.replicas" }) {
		t.Errorf("did %q: want replicas to go last", lines(done))
	}
	apply(t, b.worker, replicated(t, 2, 1), kafka.ApplyOptions{})
	b.check(t, 2, 1, 120)
	const away = 2
	b.Kill(away)
	b.polledPlan(t, replicated(t, 3, 2), kafka.Refused, "the cluster has 2 brokers")
	b.polledPlan(t, replicated(t, 1, 1), kafka.Reassign, "")
	poll(t, "no partition is led or followed by the broker that is away", func() bool {
		topics, err := kafka.ListTopics(t.Context(), b.all, "abc")
		return err == nil && !slices.ContainsFunc(slices.Collect(maps.Values(topics)), func(topic kadm.TopicDetail) bool {
			return slices.ContainsFunc(topic.Partitions.Sorted(), func(p kadm.PartitionDetail) bool { return p.Leader < 0 || slices.Contains(p.ISR, away) })
		})
	})
	apply(t, b.worker, replicated(t, 1, 1), kafka.ApplyOptions{})
	b.check(t, 1, 1, 120)
}
