package kafka_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
)

// declare returns the built-in state of a flow of two partitions, with values of an operator.
func declare(t *testing.T, values map[string]map[string]string) []kafka.Declaration {
	t.Helper()
	all := kafka.Declare("abc", kafka.Layout{Partitions: 2, Replication: 1})
	if err := kafka.Override(all, values); err != nil {
		t.Fatal(err)
	}
	return all
}

func plan(t *testing.T, c *kgo.Client, declared []kafka.Declaration) kafka.TopicPlan {
	t.Helper()
	p, err := kafka.PlanTopics(t.Context(), c, declared)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func apply(t *testing.T, c *kgo.Client, declared []kafka.Declaration, o kafka.ApplyOptions) []kafka.Change {
	t.Helper()
	done, err := plan(t, c, declared).Apply(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// lines are changes in the form TOPIC WHAT FROM→TO KIND.
func lines(changes []kafka.Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, fmt.Sprintf("%s %s %s→%s %s", c.Topic, c.What, c.From, c.To, c.Kind))
	}
	return all
}

func expect(t *testing.T, what string, got []kafka.Change, want ...string) {
	t.Helper()
	if !slices.Equal(lines(got), want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, lines(got), want)
	}
}

// A flow is made, then changed, in the order in which an operator may do it.
func TestPlanTopics(t *testing.T) {
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		c := client(t, addrs...)
		first := plan(t, c, declare(t, nil))
		if n := len(kafka.Topics("abc")); len(first.Changes) != n || !first.Pending() || first.Has(kafka.Set, kafka.Refused) {
			t.Fatalf("of nothing, %d topics are planned: %q", n, lines(first.Changes))
		}
		apply(t, c, declare(t, nil), kafka.ApplyOptions{})
		expect(t, "after all is made", plan(t, c, declare(t, nil)).Changes)
		// What the stages make at their start is the same.
		if err := kafka.EnsureTopics(t.Context(), c, "def", kafka.Layout{Partitions: 9, Replication: 1}); err != nil {
			t.Fatal(err)
		}
		expect(t, "made by a stage", plan(t, c, kafka.Declare("def", kafka.Layout{Partitions: 9, Replication: 1})).Changes)

		// A longer retention, of a pattern and of one topic, and somebody else's setting.
		admin := kadm.NewClient(c)
		if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "compression.type", Value: kadm.StringPtr("lz4")}}, kafka.Labels); err != nil {
			t.Fatal(err)
		}
		poll(t, "the broker knows of the setting", func() bool { return setting(t, c, kafka.Labels, "compression.type") == "lz4" })
		longer := map[string]map[string]string{"vacancies.embedded.*": {"retention.ms": "1209600000"}, kafka.Labels: {"retention.ms": "-1", "min.insync.replicas": "1"}}
		want := []string{"vacancies.embedded.abc retention.ms 604800000→1209600000 set", "vacancies.labels retention.ms 2592000000→-1 set"}
		foreign := "vacancies.labels compression.type lz4→ left alone"
		expect(t, "longer", plan(t, c, declare(t, longer)).Changes, append(slices.Clone(want), foreign)...)
		expect(t, "did", apply(t, c, declare(t, longer), kafka.ApplyOptions{}), want...)
		expect(t, "afterwards", plan(t, c, declare(t, longer)).Changes, foreign)

		// Partitions never change, whatever is asked; without a number that was named nothing is said.
		many := map[string]map[string]string{"*": {"partitions": "5"}}
		for _, change := range plan(t, c, declare(t, many)).Changes {
			if change.Kind != kafka.Refused && change.Kind != kafka.Foreign && change.What != "retention.ms" {
				t.Errorf("five partitions: %v", change)
			}
		}
		apply(t, c, declare(t, many), kafka.ApplyOptions{})
		topics, err := kafka.ListTopics(t.Context(), c, "abc")
		if err != nil || len(topics[kafka.Raw].Partitions) != 2 {
			t.Fatalf("%v, %v", topics[kafka.Raw].Partitions, err)
		}
		expect(t, "nine by default", slices.DeleteFunc(plan(t, c, kafka.Declare("abc", kafka.Layout{Partitions: 9, Replication: 1})).Changes, func(c kafka.Change) bool { return c.Kind == kafka.Foreign }))

		// More replicas than brokers, and more in sync than replicas.
		expect(t, "two replicas", plan(t, c, declare(t, map[string]map[string]string{kafka.Raw: {"replication.factor": "2"}})).Changes[:1], "vacancies.raw replication.factor 1→2 refused")
		expect(t, "two in sync", plan(t, c, kafka2(t)).Changes[:1], "vacancies.raw min.insync.replicas 1→2 refused")
	})
}

// kafka2 wants two replicas in sync of a topic whose replication it leaves as it is.
func kafka2(t *testing.T) []kafka.Declaration {
	all := kafka.Declare("abc", kafka.Layout{Partitions: 2, Replication: -1})
	if err := kafka.Override(all, map[string]map[string]string{kafka.Raw: {"min.insync.replicas": "2"}}); err != nil {
		t.Fatal(err)
	}
	return all
}

// publish writes a record of that time, by key, to partition 0 of a topic whose times are its publishers'.
func publish(t *testing.T, c *kgo.Client, topic, key string, at time.Time) {
	t.Helper()
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte("value"), Timestamp: at}
	if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// What would delete records is told of with what goes, and is done only when it is allowed.
func TestPlanDestroys(t *testing.T) {
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		c := client(t, addrs...)
		apply(t, c, declare(t, map[string]map[string]string{kafka.Extracted: {"retention.ms": "-1"}}), kafka.ApplyOptions{})
		oldest := time.Now().Add(-50 * time.Hour)
		publish(t, c, kafka.Extracted, "a", oldest)
		publish(t, c, kafka.Extracted, "a", time.Now().Add(-time.Minute))
		// Two days would delete the first, three would delete nothing today.
		three := declare(t, map[string]map[string]string{kafka.Extracted: {"retention.ms": "259200000"}})
		expect(t, "three days", plan(t, c, three).Changes, "vacancies.extracted retention.ms -1→259200000 set")
		two := declare(t, map[string]map[string]string{kafka.Extracted: {"retention.ms": "172800000"}})
		p := plan(t, c, two)
		expect(t, "two days", p.Changes, "vacancies.extracted retention.ms -1→172800000 destroys")
		of := oldest.UTC().Format("2006-01-02T15:")
		if note := p.Changes[0].Note; !strings.Contains(note, "the oldest is of "+of) || !strings.Contains(note, "2 records in ") {
			t.Errorf("the note says %q, want the oldest %s and how many", note, of)
		}
		expect(t, "not allowed", apply(t, c, two, kafka.ApplyOptions{}))
		expect(t, "still planned", plan(t, c, two).Changes, "vacancies.extracted retention.ms -1→172800000 destroys")
		if n := count(t, c, kafka.Extracted); n != 2 {
			t.Errorf("%d records are left, want 2", n)
		}
		compacted := declare(t, map[string]map[string]string{kafka.Extracted: {"retention.ms": "-1", "cleanup.policy": "compact,delete"}, kafka.Shadow: {"cleanup.policy": "compact"}})
		// Nothing goes of an empty topic.
		expect(t, "compacted", plan(t, c, compacted).Changes, "vacancies.extracted cleanup.policy delete→compact,delete destroys", "vacancies.shadow cleanup.policy delete→compact set")
		expect(t, "did", apply(t, c, compacted, kafka.ApplyOptions{}), "vacancies.shadow cleanup.policy delete→compact set")
		expect(t, "allowed", apply(t, c, compacted, kafka.ApplyOptions{Destroy: true}), "vacancies.extracted cleanup.policy delete→compact,delete destroys")
		expect(t, "afterwards", plan(t, c, compacted).Changes)
	})
}

// count returns how many records a topic has.
func count(t *testing.T, c *kgo.Client, topic string) int64 {
	t.Helper()
	admin := kadm.NewClient(c)
	starts, err := admin.ListStartOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		n += end.Offset - start.Offset
	})
	return n
}

// setting returns the value that is in force.
func setting(t *testing.T, c *kgo.Client, topic, name string) string {
	t.Helper()
	configs, err := kadm.NewClient(c).DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range configs[0].Configs {
		if config.Key == name {
			return config.MaybeValue()
		}
	}
	return ""
}

// Whatever is declared and is there: a plan after Apply is empty but for what is refused or not allowed, a second Apply does nothing, and no record is gone.
func TestApplyTwice(t *testing.T) {
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		c := client(t, addrs...)
		random := rand.New(rand.NewPCG(10, 3))
		pick := func(values ...string) string { return values[random.IntN(len(values))] }
		written := map[string]int64{}
		for round := range 8 {
			values := map[string]map[string]string{}
			for _, topic := range kafka.Topics("abc") {
				v := map[string]string{}
				maybe := func(name string, of ...string) {
					if random.IntN(3) == 0 {
						v[name] = pick(of...)
					}
				}
				maybe("retention.ms", "-1", "3600000", "604800000", "2592000000")
				maybe("segment.ms", "60000", "3600000", "86400000")
				maybe("cleanup.policy", "delete", "compact", "compact,delete")
				maybe("max.message.bytes", "12582912", "20971520")
				maybe("min.insync.replicas", "1")
				if topic.Compacted {
					v = map[string]string{"max.message.bytes": pick("12582912", "20971520")}
				}
				values[topic.Name] = v
			}
			if random.IntN(2) == 0 {
				values["*"] = map[string]string{"partitions": pick("1", "2", "7")}
			}
			declared := declare(t, values)
			apply(t, c, declared, kafka.ApplyOptions{})
			again := plan(t, c, declared)
			if again.Has(kafka.Create, kafka.Set, kafka.Reassign, kafka.UnderWay) {
				t.Fatalf("round %d: after Apply %q is planned", round, lines(again.Changes))
			}
			expect(t, "the second time", apply(t, c, declared, kafka.ApplyOptions{}))
			for topic, n := range written {
				if got := count(t, c, topic); got != n {
					t.Fatalf("round %d: %s has %d records, want %d", round, topic, got, n)
				}
			}
			topic := pick(kafka.Extracted, kafka.Classified, kafka.Embedded("abc"), kafka.Shadow)
			age := time.Minute
			if !strings.HasPrefix(setting(t, c, topic, "retention.ms"), "36") {
				age = 2 * time.Hour // an hour's retention would delete it
			}
			publish(t, c, topic, pick("a", "b"), time.Now().Add(-age))
			written[topic]++
		}
		if len(written) < 2 {
			t.Fatalf("records were written to %v only", written)
		}
	})
}

// Everything that is wrong is said at once.
func TestOverrideFailure(t *testing.T) {
	err := kafka.Override(kafka.Declare("abc", kafka.Layout{Partitions: 2, Replication: 1}), map[string]map[string]string{
		"*":              {"compression.type": "lz4", "partitions": "0"},
		"vacancies.rwa":  {"partitions": "3"},
		kafka.Raw:        {"message.timestamp.type": "CreateTime", "retention.ms": "7", "partitions": "3"},
		kafka.Models:     {"cleanup.policy": "delete", "partitions": "2"},
		kafka.Classified: {"replication.factor": "2", "min.insync.replicas": "3", "max.message.bytes": "1000", "cleanup.policy": "keep"},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"*: compression.type cannot be declared", "*: partitions (0) must be 1 to 10000", "vacancies.rwa is no topic of this flow", "a publisher's clock must not say when a record expires",
		"retention.ms (7) must be 60000 to", "cleanup.policy (delete) must be compact for models.classifier", "partitions (2) must be 1 for models.classifier",
		"vacancies.classified: min.insync.replicas (3) must be at most its replication.factor (2)", "max.message.bytes (1000) must be 12582912 to", "cleanup.policy (keep) must be delete or compact",
		"vacancies.extracted has 2 partitions, vacancies.raw has 3",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if n := strings.Count(err.Error(), "compression.type"); n != 1 {
		t.Errorf("a pattern's mistake is told %d times", n)
	}
}
