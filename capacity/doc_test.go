package capacity

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of docs/capacity.md anew")

// The tables of docs/capacity.md are what the plan says.
func TestCapacityDoc(t *testing.T) {
	const file = "../docs/capacity.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, table := range map[string]string{"costs": costs(BuiltIn()), "plans": plans(t), "limits": firstLimits(t)} {
		from, to := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
		before, rest, found := strings.Cut(text, from)
		old, after, ends := strings.Cut(rest, to)
		if !found || !ends {
			t.Fatalf("%s has no place for %s", file, name)
		}
		if old != table && !*rewrite {
			t.Errorf("%s in %s differ from the plan; go test ./capacity -rewrite writes them:\n%s", name, file, table)
		}
		text = before + from + table + to + after
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func costs(m Measured) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| of a vacancy of %.0f bytes, encoder %s | |\n|---|---|\n", m.VacancyBytes, m.Encoder)
	for _, line := range []struct {
		name  string
		value float64
	}{{"extract", m.ExtractMS}, {"embed", m.EmbedMS}, {"classify", m.ClassifyMS}, {"Kafka, for each stage", m.StageMS}, {"the sink", m.SinkMS}, {"ClickHouse", m.ClickHouseMS}} {
		fmt.Fprintf(&b, "| %s | %s ms of a processor |\n", line.name, figure(line.value))
	}
	for _, line := range []struct {
		name  string
		value float64
	}{{"raw", m.RawBytes}, {"extracted", m.ExtractedBytes}, {"embedded", m.EmbeddedBytes}, {"classified", m.ClassifiedBytes}} {
		fmt.Fprintf(&b, "| on the %s topic, compressed | %.0f bytes |\n", line.name, line.value)
	}
	for _, line := range []struct {
		name  string
		value float64
	}{{"`embedding_rows`", m.EmbeddingRowBytes}, {"`prediction_rows`", m.PredictionRowBytes}, {"the table of similar vacancies, with its index", m.SimilarRowBytes}} {
		fmt.Fprintf(&b, "| in %s | %.0f bytes |\n", line.name, line.value)
	}
	fmt.Fprintf(&b, "| in memory, in the index of similar vacancies | %.0f bytes |\n", m.IndexRowBytes)
	return b.String()
}

func plans(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| a day | needed a second | processors | processes that embed | partitions | Kafka | ClickHouse | its servers | without similar vacancies |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, perDay := range []float64{1e4, 1e5, 1e6, 1e7, 1e8, 1e9} {
		p, without := planned(t, perDay, false), planned(t, perDay, true)
		processors := 0.
		for _, s := range p.Stages {
			processors += s.Processors
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", humanize.Comma(int64(perDay)), figure(p.Needed), figure(processors), humanize.Comma(int64(p.Stages[1].Processes)), humanize.Comma(int64(p.Partitions)),
			humanize.Bytes(uint64(p.KafkaBytes)), humanize.Bytes(uint64(p.ClickHouseBytes)), humanize.Comma(int64(p.Shards)), humanize.Comma(int64(without.Shards)))
	}
	return b.String()
}

func firstLimits(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| what | at a day | what to do |\n|---|---|---|\n")
	for _, l := range planned(t, 1e6, false).Limits {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.Name, figure(l.PerDay), l.Remedy)
	}
	return b.String()
}

func planned(t *testing.T, perDay float64, withoutSimilar bool) Plan {
	t.Helper()
	p, err := For(Demand{PerDay: perDay, Outage: time.Hour, WithoutSimilar: withoutSimilar}, BuiltIn())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// figure writes a number with two figures that count, all of them from 100 on with commas.
func figure(x float64) string {
	if x < 100 {
		return fmt.Sprintf("%.2g", x)
	}
	return humanize.Comma(int64(x))
}
