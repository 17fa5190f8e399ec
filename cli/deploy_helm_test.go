package cli

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.yaml.in/yaml/v3"

	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/models"
)

var rewriteHelm = flag.Bool("rewrite-helm", false, "write what the Helm chart knows of the code anew")

const helmFlow = "../deploy/helm/jobstrom/files/flow.yaml"

// flowFacts is what the chart's templates know of the code: files/flow.yaml. ENCODER stands for the first 12 characters of an encoder's id.
type flowFacts struct {
	// Encoder is the id's beginning of the one that is part of the image.
	Encoder string       `yaml:"encoder"`
	Readers []flowReader `yaml:"readers"`
	Topics  []flowTopic  `yaml:"topics"`
	// Declarable are the names of what jobstrom topics takes from a file, of each topic.
	Declarable []string `yaml:"declarable"`
	// Roles are rights by command.
	Roles    map[string][]flowRight `yaml:"roles"`
	Settings []string               `yaml:"settings"`
	Secrets  []string               `yaml:"secrets"` // those settings whose values nobody may see
}

type flowReader struct {
	Stage  string   `yaml:"stage"`
	Group  string   `yaml:"group"`
	Topics []string `yaml:"topics"`
}

type flowTopic struct {
	Name       string            `yaml:"name"`
	Partitions int32             `yaml:"partitions"` // 0: the flow's
	Config     map[string]string `yaml:"config"`
}

type flowRight struct {
	Operation string `yaml:"operation"`
	Resource  string `yaml:"resource"`
	Name      string `yaml:"name"`
}

// The Helm chart's groups, topics, rights and settings are those of the code. With -rewrite-helm they are written anew.
func TestHelmChartKnowsTheFlow(t *testing.T) {
	const encoder = "ENCODER"
	card, err := models.ReadEncoderCard((&app{}).encoderDir())
	must(t, err)
	facts := flowFacts{Encoder: kafka.Short(card.ID), Roles: map[string][]flowRight{}, Topics: topicsAsMade(t, encoder),
		Declarable: append([]string{"partitions", "replication.factor"}, kafka.TopicSettings()...)}
	for _, r := range kafka.Readers(encoder) {
		facts.Readers = append(facts.Readers, flowReader{Stage: r.Stage, Group: r.Group(), Topics: r.Topics})
	}
	for _, role := range kafka.Roles(encoder) {
		for _, r := range role.Rights {
			facts.Roles[role.Command] = append(facts.Roles[role.Command], flowRight(r))
		}
	}
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(settings)
	settings.VisitAll(func(f *pflag.Flag) {
		if f.Name == "config" {
			return
		}
		facts.Settings = append(facts.Settings, f.Name)
		if settings.Lookup(f.Name+"-file") != nil {
			facts.Secrets = append(facts.Secrets, f.Name)
		}
	})
	var want bytes.Buffer
	want.WriteString("# What the templates know of the code. Made of it: go test ./cli -run TestHelmChartKnowsTheFlow -rewrite-helm\n")
	e := yaml.NewEncoder(&want)
	e.SetIndent(2)
	must(t, e.Encode(facts))
	if *rewriteHelm {
		must(t, os.WriteFile(helmFlow, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(helmFlow)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the code says (%v): go test ./cli -run TestHelmChartKnowsTheFlow -rewrite-helm, then make test-helm", helmFlow, err)
	}
}

// topicsAsMade lists the flow's topics as jobstrom topics makes them on a broker.
func topicsAsMade(t *testing.T, encoder string) (all []flowTopic) {
	t.Helper()
	broker, err := embedded.StartKafka(embedded.KafkaOptions{})
	must(t, err)
	defer broker.Stop()
	client, err := kafka.NewClient(kafka.Options{Brokers: broker.Addrs()})
	must(t, err)
	defer client.Close()
	must(t, kafka.EnsureTopics(t.Context(), client, encoder, kafka.Layout{Partitions: 4, Replication: 1}))
	var names []string
	for _, topic := range kafka.Topics(encoder) {
		names = append(names, topic.Name)
		all = append(all, flowTopic{Name: topic.Name, Partitions: topic.Partitions, Config: map[string]string{}})
	}
	described, err := kadm.NewClient(client).DescribeTopicConfigs(t.Context(), names...)
	must(t, err)
	for _, d := range described {
		must(t, d.Err)
		at := slices.Index(names, d.Name)
		for _, c := range d.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				all[at].Config[c.Key] = c.MaybeValue()
			}
		}
		if policy := all[at].Config["cleanup.policy"]; policy != "delete" && policy != "compact" {
			t.Fatalf("topic %s was made with %v", d.Name, all[at].Config)
		}
	}
	return all
}
