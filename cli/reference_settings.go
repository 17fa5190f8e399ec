package cli

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/pflag"
)

// settingGroup is a chapter of the settings' page. Patterns choose its settings, and say who reads them.
type settingGroup struct {
	title, intro string
	readers      []settingReaders
}

type settingReaders struct{ patterns, by string }

// settingGroups is the page's order. A setting belongs to the first pattern that fits; a setting without a group is an error of make generate and of the tests.
var settingGroups = []settingGroup{
	{"Kafka", "Without `brokers` a flow starts a Kafka of its own, and commands look for one at `kafka-port` of this machine. TLS, users and rights: [security](../security.md).", []settingReaders{
		{"kafka-port", "`up` and `demo`, which start the embedded Kafka, and by all that looks for it"},
		{"partitions replication", "what creates topics: `up`, `demo`, `run`, `topics --create`"},
		{"brokers kafka-*", "all that uses Kafka"},
	}},
	{"Schema registry", "[Where there is one](../security.md#schema-registry).", []settingReaders{
		{"schema-registry*", "all that writes to Kafka"},
	}},
	{"ClickHouse", "Without `clickhouse` a flow starts an engine of its own. TLS, users and rights: [security](../security.md).", []settingReaders{
		{"clickhouse-port clickhouse-http-port chdb", "`up` and `demo`, which start the embedded engine, and by all that looks for it"},
		{"retention retention-hot migrate", "what makes tables: `up`, `demo`, `run sink`, `warehouse`"},
		{"clickhouse*", "all that uses ClickHouse"},
	}},
	{"Workers", "Of the stages. More of them, and how they share partitions: [architecture](../architecture.md).", []settingReaders{
		{"workers group-protocol static-membership commit-interval worker-bytes transaction-timeout", "`up`, `demo`, `run`"},
	}},
	{"Extraction", "[What finds occupations, skills and tasks](../extraction.md).", []settingReaders{
		{"extractor gliner2*", "what extracts: `up`, `demo`, `run extract`, `serve`, `classify`, `extract`, `evaluate`"},
		{"attributes", "what extracts, and by `produce`"},
		{"employer-key*", "`up`, `demo`, `run extract`"},
	}},
	{"Encoder and classifier", "[Encoders](../encoders.md), [accelerators](../accelerators.md). `jobstrom bench tune` finds the best `threads`, `embed-workers` and `batch-tokens` of a machine.", []settingReaders{
		{"encoder", "all that embeds, and by commands that must know which encoder's models are meant"},
		{"onnxruntime provider", "all that runs a model"},
		{"threads embed-workers batch-tokens embed-cache", "what embeds: `up`, `demo`, `run embed`, `serve`, `classify`, `evaluate`"},
		{"embed-reuse", "`up`, `demo`, `run embed`"},
		{"prior", "what classifies: `up`, `demo`, `run classify`, `serve`, `classify`, `evaluate`"},
	}},
	{"Web pages and API", "[Who may use them](../security.md#the-api).", []settingReaders{
		{"tokens", "`up`, `demo`, `serve`, `tokens`"},
		{"http* oidc-* cors-origins rate-* max-* under-way", "`up`, `demo`, `serve`"},
	}},
	{"Drift", "Of the watch; the report's windows are flags of [`drift report`](commands/drift.md).", []settingReaders{
		{"drift-*", "`up`, `demo`, `drift watch`"},
	}},
	{"Model hub", "Where models are fetched from.", []settingReaders{
		{"hub-*", "`models pull`"},
	}},
	{"Health, logs and traces", "[Metrics and health](../metrics.md).", []settingReaders{
		{"metrics-address", "`run`, `serve`, `drift watch`"},
		{"otlp-* trace-*", "`up`, `demo`, `run`, `serve`, `drift watch`, `produce`"},
		{"log-*", "all"},
	}},
	{"Files", "", []settingReaders{
		{"config", "all"},
		{"data", "`up`, `demo`, `serve`, `train`, `models import`"},
	}},
}

// settingsPage lists every setting. That each has its place is checked here, so that none is forgotten.
func settingsPage() ([]byte, error) {
	declared := pflag.NewFlagSet("", pflag.ContinueOnError)
	declared.SortFlags = false // related ones are declared together
	addFlags(declared)
	rows := map[*settingReaders]*bytes.Buffer{}
	var homeless []string
	declared.VisitAll(func(f *pflag.Flag) {
		readers := readersOf(f.Name)
		if readers == nil {
			homeless = append(homeless, f.Name)
			return
		}
		if rows[readers] == nil {
			rows[readers] = &bytes.Buffer{}
		}
		settingRow(rows[readers], f)
	})
	if len(homeless) > 0 {
		return nil, fmt.Errorf("writing the settings' page: %s have no group: add them to settingGroups, with who reads them", strings.Join(homeless, ", "))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n# Settings\n\n", referenceMade)
	b.WriteString("A setting has one name in three places, of which the later wins over the earlier, and all of them over the default:\n\n" +
		"| | `commit-interval` |\n|---|---|\n" +
		"| `jobstrom.yaml` in the working directory, or the file that `--config` names | `commit-interval: 250ms` |\n" +
		"| environment | `JOBSTROM_COMMIT_INTERVAL=250ms` |\n" +
		"| command line | `--commit-interval 250ms` |\n\n" +
		"Lists are separated by commas, or lists in the file. A time is a number with its unit: `100ms`, `30s`, `24h`; bytes are `64MiB`, or a number. A name that the file does not know, or a value out of bounds, ends the\n" +
		"command before it begins, with every violation in one message. `JOBSTROM_NATIVE` is no setting: it names the folder of the native parts, where that is not `.native` above the program or the working directory.\n")
	for _, g := range settingGroups {
		fmt.Fprintf(&b, "\n## %s\n", g.title)
		if g.intro != "" {
			fmt.Fprintf(&b, "\n%s\n", g.intro)
		}
		for i := range g.readers {
			if table := rows[&g.readers[i]]; table != nil {
				fmt.Fprintf(&b, "\nRead by %s:\n\n| setting | value | default | meaning |\n|---|---|---|---|\n%s", g.readers[i].by, table)
			}
		}
	}
	return b.Bytes(), nil
}

// readersOf returns who reads a setting, or nil.
func readersOf(setting string) *settingReaders {
	for _, g := range settingGroups {
		for i, r := range g.readers {
			for _, pattern := range strings.Fields(r.patterns) {
				if ok, _ := path.Match(pattern, setting); ok {
					return &g.readers[i]
				}
			}
		}
	}
	return nil
}

// settingRow writes a setting as a row: its flag and variable (the file's key is the flag's name), value, default and meaning.
func settingRow(b *bytes.Buffer, f *pflag.Flag) {
	kind, usage := pflag.UnquoteUsage(f)
	names := "`--" + f.Name + "`"
	if f.Name != "config" { // the file cannot name itself
		names += "<br>`JOBSTROM_" + strings.ReplaceAll(strings.ToUpper(f.Name), "-", "_") + "`"
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s |\n", names, cell(valueOf(f, kind)), defaultOf(f), cell(usage))
}

// valueOf says what a setting takes, with its unit where it has one.
func valueOf(f *pflag.Flag, kind string) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "stringSlice":
		if kind == "" || kind == "strings" {
			return "list"
		}
		return "list of " + kind
	case "int":
		if kind == "" || kind == "int" {
			return "whole number"
		}
		return "whole number: " + kind
	case "float64":
		if kind == "" || kind == "float" {
			return "number"
		}
		return "number: " + kind
	}
	if kind == "string" {
		return "text"
	}
	return kind
}
