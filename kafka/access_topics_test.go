package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
)

// until grants rights and does something until its answer is the one wanted: a broker learns of ACLs a little later.
func (g granted) until(t *testing.T, rights []kafka.Right, do func() error, wanted func(error) bool) {
	t.Helper()
	g.grant(t, rights)
	var err error
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) {
		if err = do(); wanted(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("with %v: got %v", rights, err)
		}
	}
}

// named says whether an error is the refusal of this right alone.
func named(lacks kafka.Right) func(error) bool {
	return func(err error) bool {
		return errors.Is(err, kafka.ErrDenied) && strings.Contains(err.Error(), "lacks "+lacks.String()+":")
	}
}

func succeeded(err error) bool { return err == nil }

// topicsRights sees that topics plan and topics apply do all of their work with the rights that docs/security.md lists, and without one name it.
// Moving replicas takes several brokers, and is TestReplication's.
func topicsRights(t *testing.T, g granted) {
	ctx := t.Context()
	worker, err := kafka.NewClient(g.worker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(worker.Close)
	apply(t, g.admin, declare(t, nil), kafka.ApplyOptions{})
	says := func(command string, err error) error {
		return kafka.NameDenied(ctx, g.worker, err, kafka.RightsOf(command, "abc"))
	}
	days := 30
	// Each try has something new to set, and a topic to create: one that succeeds by rights of before leaves nothing to be denied.
	work := map[string]func() error{
		"topics plan": func() error {
			_, err := kafka.PlanTopics(ctx, worker, declare(t, nil))
			return says("topics plan", err)
		},
		"topics apply": func() error {
			days++
			clustertest.DeleteTopic(t, g.admin, kafka.Shadow)
			p, err := kafka.PlanTopics(ctx, worker, declare(t, map[string]map[string]string{kafka.Raw: {"retention.ms": fmt.Sprint(days * 86_400_000)}}))
			if err != nil {
				return says("topics apply", err)
			}
			done, err := p.Apply(ctx, worker, kafka.ApplyOptions{})
			if err == nil && len(done) != 2 {
				t.Errorf("apply did %q, want a topic and a retention", lines(done))
			}
			return says("topics apply", err)
		},
	}
	for command, do := range work {
		rights := kafka.RightsOf(command, "abc")
		g.until(t, rights, do, succeeded)
		operations := map[string]bool{}
		for i, r := range rights {
			// Of each kind of right one that the work meets.
			if operations[r.Operation] || r.Resource != "topic" || r.Name != map[bool]string{false: kafka.Raw, true: kafka.Shadow}[r.Operation == "Create"] {
				continue
			}
			operations[r.Operation] = true
			g.until(t, slices.Delete(slices.Clone(rights), i, i+1), do, named(r))
		}
		if len(operations) < 2 {
			t.Errorf("%s: tried without %v", command, operations)
		}
	}
	// Create on the cluster is as good as on each topic.
	rights := slices.DeleteFunc(kafka.RightsOf("topics apply", "abc"), func(r kafka.Right) bool { return r.Operation == "Create" })
	g.until(t, append(rights, kafka.Right{Operation: "Create", Resource: "cluster"}), func() error {
		missing, err := kafka.Missing(ctx, worker, kafka.RightsOf("topics apply", "abc"))
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("missing %v", missing)
		}
		return errors.Join(err, work["topics apply"]())
	}, succeeded)
}

// Commands of the flow are not told of rights that only the topics' commands need.
func TestRightsOfTheRest(t *testing.T) {
	all := kafka.RightsOf("up", "abc")
	for _, r := range []kafka.Right{kafka.AlterCluster(), kafka.AlterConfigs(kafka.Raw), kafka.ReadConfigs(kafka.Raw), kafka.CreateTopic(kafka.Raw)} {
		if slices.Contains(all, r) {
			t.Errorf("up needs %s", r)
		}
	}
	if !slices.Contains(all, kafka.ReadTopic(kafka.Raw)) {
		t.Errorf("up needs %v only", all)
	}
}
