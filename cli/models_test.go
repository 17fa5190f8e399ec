package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jobstrom/cluster/clustertest"
	"jobstrom/embedded/clickhousetest"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/trainer"
	"jobstrom/warehouse"
)

// trained makes a sealed model of the 22 categories on vectors of 2.
func trained(t *testing.T, favourite int, last time.Time) *schemas.Classifier {
	t.Helper()
	taxonomy := schemas.Jobnet()
	n := len(taxonomy.Categories)
	c := &schemas.Classifier{
		Encoder: strings.Repeat("e", 64), Taxonomy: taxonomy.ID, Dim: 2, Categories: uint32(n), Weights: make([]float32, 2*n), Bias: make([]float32, n), Temperature: 1,
		TrainedAt: schemas.Time(noon.Add(time.Duration(favourite) * time.Hour)), Metrics: map[string]float64{"top1": .5 + float64(favourite)/100, "macro_f1": .4},
		Training: map[string]string{"l2": fmt.Sprint("0.", favourite)},
		Card: &schemas.Card{
			EncoderName: "small", Version: "0.9", History: &schemas.TrainingHistory{Rows: 440, Last: schemas.Time(last)},
			Baseline: &schemas.Baseline{Rows: 300, Mean: []float32{1, 1}, Variance: []float32{1, 1}},
		},
	}
	for i := range c.Weights {
		c.Weights[i] = float32((i*7+favourite)%5) - 2
	}
	c.Bias[favourite] = 1
	must(t, models.SealClassifier(c))
	return c
}

// eachModelBroker runs a test on each kind of broker, with the flags that name it and a registry that holds three models: a, which is champion, b and c.
func eachModelBroker(t *testing.T, test func(t *testing.T, o kafka.Options, flags []string, a, b, c *schemas.Classifier)) {
	t.Helper()
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		o := kafka.Options{Brokers: addrs}
		client, err := kafka.NewClient(o)
		must(t, err)
		defer client.Close()
		must(t, kafka.EnsureTopics(t.Context(), client, strings.Repeat("e", 64), kafka.Layout{Partitions: 2, Replication: 1}))
		a, b, c := trained(t, 1, noon), trained(t, 2, noon), trained(t, 3, noon)
		w := registry.Writer{Kafka: o, Version: "test"}
		for _, m := range []*schemas.Classifier{b, c, a} {
			_, err := w.Promote(t.Context(), registry.Promotion{Classifier: m, Reason: "in the beginning"})
			must(t, err)
		}
		test(t, o, []string{"--brokers", strings.Join(addrs, ",")}, a, b, c)
	})
}

func TestModels(t *testing.T) {
	eachModelBroker(t, func(t *testing.T, o kafka.Options, flags []string, a, b, c *schemas.Classifier) {
		line := func(args ...string) []string { return append(append([]string{"models"}, args...), flags...) }
		has(t, 0, []string{a.Id[:12], "champion", "440", "0.510", "2026-03-14 13:00:00"}, nil, line("list")...)
		list := func() (aliases string) {
			t.Helper()
			names := map[string]string{a.Id: "a", b.Id: "b", c.Id: "c"}
			for l := range strings.Lines(has(t, 0, nil, nil, line("list", "--format", "json")...)) {
				var m modelLine
				must(t, json.Unmarshal([]byte(l), &m))
				aliases += " " + names[m.Model] + ":" + m.Alias
				if (m.LiveSince != nil) != (m.Alias == "champion") || m.Rows != 440 || m.Bytes < 100 {
					t.Errorf("the list says %s", l)
				}
			}
			return aliases
		}
		f := func(want string) {
			t.Helper()
			if got := list(); got != want {
				t.Errorf("listed%s, want%s", got, want)
			}
		}
		f(" a:champion c: b:")
		has(t, 0, []string{a.Id + " champion", "small eeee", "history rows         440", "setting l2           0.1", "top1", "0.51", "promote  in the beginning"}, nil, line("show", "champion")...)
		has(t, 0, []string{`"alias":"champion"`, `"version":"0.9"`}, nil, line("show", a.Id[:10], "--format", "json")...)
		has(t, 1, nil, []string{"the registry holds no such classifier", "jobstrom models list"}, line("show", "zz")...)
		has(t, 2, nil, []string{"accepts 1 arg"}, line("show")...)
		has(t, 0, []string{"setting l2", "0.1", "0.2", "top1", "+0.01", "cosine of the weights ", "the same category for "}, nil, line("diff", "champion", b.Id[:8])...)
		var d difference
		must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, line("diff", a.Id, a.Id, "--format", "json")...)), &d))
		if d.Cosine < .999999 || *d.Agreement != 1 || len(d.Facts) != 0 || len(d.Farthest) != 3 || d.Bytes[0] != d.Bytes[1] {
			t.Errorf("a model differs from itself: %+v", d)
		}

		has(t, 0, []string{b.Id[:12] + " is a challenger"}, nil, line("challenge", b.Id[:12])...)
		has(t, 0, []string{"is a challenger already"}, nil, line("challenge", b.Id)...)
		has(t, 0, []string{b.Id + " challenger"}, nil, line("show", "challenger")...)
		f(" a:champion b:challenger c:")
		has(t, 1, nil, []string{"the champion has changed meanwhile", "expected " + c.Id[:12]}, line("promote", b.Id, "--expect", c.Id)...)
		has(t, 0, []string{b.Id[:12] + " is the champion, in place of " + a.Id[:12]}, nil, line("promote", b.Id, "--expect", "champion", "--reason", "by hand")...)
		has(t, 0, []string{"is the champion already"}, nil, line("promote", "champion")...)
		has(t, 1, nil, []string{"finding the newest challenger: there is none"}, line("show", "challenger")...)
		f(" b:champion c: a:")
		has(t, 0, []string{a.Id[:12] + " is the champion again, in place of " + b.Id[:12]}, nil, line("rollback")...)
		has(t, 0, []string{`"action":"rollback"`, `"changed":true`}, nil, line("rollback", "--format", "json")...)
		f(" c:champion b: a:")
		has(t, 0, []string{"is a challenger"}, nil, line("challenge", a.Id)...)
		has(t, 0, []string{"is no challenger any more"}, nil, line("challenge", a.Id, "--stop")...)
		has(t, 1, nil, []string{"in use", "it is a champion"}, line("retire", c.Id, "--yes")...)
		has(t, 2, nil, []string{"Remove model " + b.Id[:12], "--yes"}, line("retire", b.Id)...)
		has(t, 0, []string{b.Id[:12] + " is retired"}, nil, line("retire", b.Id, "--yes")...)
		has(t, 0, []string{b.Id + " retired", "retire"}, nil, line("show", b.Id[:9])...)
		has(t, 1, nil, []string{"no such classifier"}, line("promote", b.Id)...)
		// A file holds it still.
		data, err := models.EncodeClassifier(b)
		must(t, err)
		file := filepath.Join(t.TempDir(), "b.bin")
		must(t, os.WriteFile(file, data, 0o644))
		has(t, 0, []string{"is the champion"}, nil, line("promote", file)...)
		has(t, 0, []string{"rollback", "by hand", "retire", a.Id[:12]}, nil, line("history")...)
		out := has(t, 0, nil, []string{"older lines are not shown"}, line("history", b.Id[:9], "-n", "3", "--format", "json")...)
		if n := strings.Count(out, "\n"); n != 3 || !strings.Contains(out, `"action":"retire"`) || !strings.Contains(out, `"action":"promote"`) {
			t.Errorf("the history of b ends\n%s", out)
		}
		completed := has(t, 0, []string{"champion\t", a.Id[:12]}, nil, append(append([]string{"__complete", "models", "promote"}, flags...), "")...)
		if strings.Count(completed, "trained 2026") != 3 {
			t.Errorf("completed %s", completed)
		}
	})
}

// gateEngine starts ClickHouse and returns it with the flags that name it.
func gateEngine(t *testing.T) (*warehouse.Warehouse, []string) {
	t.Helper()
	engine := clickhousetest.Start(t, nil)
	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{engine.Addr()}, CreateDatabase: true})
	must(t, err)
	t.Cleanup(func() { _ = w.Close() })
	must(t, w.Migrate(t.Context(), nil))
	return w, []string{"--clickhouse", engine.Addr()}
}

// The gate promotes the challenger that is better on labelled traffic, withdraws the one that is worse, and says why; what came before the training does not count.
func TestModelsGate(t *testing.T) {
	eachModelBroker(t, func(t *testing.T, o kafka.Options, flags []string, a, b, c *schemas.Classifier) {
		w, engine := gateEngine(t)
		gate := func(args ...string) []string {
			return append(append(append([]string{"models", "gate"}, args...), flags...), engine...)
		}
		has(t, 3, []string{"no challengers"}, []string{"nothing passes the gate"}, gate("--auto")...)
		has(t, 1, nil, []string{"it is no challenger"}, gate(b.Id)...)
		for _, m := range []*schemas.Classifier{b, c} {
			_, err := registry.Writer{Kafka: o}.Challenge(t.Context(), m, "")
			must(t, err)
		}
		has(t, 3, []string{"REFUSED  labels: 0 labelled vacancies, at least 200 are needed"}, nil, gate("--auto")...)
		const n = 300
		var predictions []warehouse.PredictionRow
		var shadows []warehouse.ShadowRow
		var labels []warehouse.LabelRow
		topic := uuid.New()
		says := func(i int, m *schemas.Classifier, right bool) warehouse.PredictionRow {
			truth := i % 22
			p := make([]float32, 22)
			if right {
				p[truth] = .8
			} else {
				p[(truth+1)%22] = .8
			}
			p[(truth+2)%22] = .2
			return warehouse.PredictionRow{
				Coordinates: warehouse.Coordinates{TopicID: topic, Offset: int64(i)}, ReceivedAt: noon.Add(time.Duration(i-50) * time.Minute), VacancyID: fmt.Sprint("v", i),
				Model: m.Id, Encoder: m.Encoder, Probabilities: p, PublishedAt: noon, ClassifiedAt: noon,
			}
		}
		for i := range n + 51 { // the first 51 came before the end of what all three were trained on, and all are right there
			early := i <= 50
			predictions = append(predictions, says(i, a, early || i%10 < 7))
			shadows = append(shadows, warehouse.ShadowRow{Name: "challenger", PredictionRow: says(i, b, early || i%10 < 8)}, warehouse.ShadowRow{Name: "challenger", PredictionRow: says(i, c, early || i%10 < 5)})
			labels = append(labels, warehouse.LabelRow{TopicID: topic, Offset: int64(i), ReceivedAt: noon, VacancyID: fmt.Sprint("v", i), CategoryIndex: uint16(i % 22), Category: "x", LabelledAt: noon})
		}
		must(t, w.InsertPredictions(t.Context(), predictions))
		must(t, w.InsertShadows(t.Context(), shadows))
		must(t, w.InsertLabels(t.Context(), labels))

		has(t, 3, []string{
			"on 300 labelled vacancies", "REFUSED  accuracy: right on 150, the champion on 210 (McNemar p = ", "REFUSED  macro F1", c.Id[:12] + " does not pass",
		}, []string{"nothing passes"}, gate(c.Id[:12])...)
		has(t, 3, []string{"REFUSED  labels: 300 labelled vacancies, at least 400"}, nil, gate(b.Id, "--min-labels", "400")...)
		has(t, 0, []string{"ok       accuracy: right on 240, the champion on 210", b.Id[:12] + " passes"}, nil, gate(b.Id)...)
		has(t, 2, nil, []string{"alpha (2) must be above 0 and below 1"}, gate("--alpha", "2")...)
		has(t, 2, nil, []string{"--since"}, gate("--since", "yesterday")...)
		read := func() *registry.Contents {
			t.Helper()
			contents, err := registry.Read(t.Context(), o)
			must(t, err)
			return contents
		}
		if contents := read(); contents.Alias(a) != registry.Champion {
			t.Fatal("a gate without --auto has promoted")
		}
		var got struct {
			Champion  string
			Promoted  string
			Withdrawn []string
			Results   []struct {
				Challenger string
				Passed     bool
				N          int
				Checks     []trainer.GateCheck
				McNemar    trainer.McNemarTest
			}
		}
		must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, gate("--auto", "--format", "json")...)), &got))
		if got.Champion != a.Id || got.Promoted != b.Id || fmt.Sprint(got.Withdrawn) != fmt.Sprint([]string{c.Id}) || len(got.Results) != 2 || got.Results[0].McNemar.FirstOnly != 30 || got.Results[0].McNemar.SecondOnly != 0 {
			t.Errorf("got %+v", got)
		}
		contents := read()
		if contents.Alias(b) != registry.Champion || contents.Alias(c) != "" {
			t.Errorf("champion %v, challengers %v", contents.Champions, contents.Challengers)
		}
		if last := contents.History[len(contents.History)-2]; !strings.Contains(last.Reason, "gate: right on 240, the champion on 210") {
			t.Errorf("the history says %v", last)
		}
	})
}

// A trained model becomes the champion when it is not worse on the same test vacancies, and a challenger otherwise.
func TestPublish(t *testing.T) {
	eachModelBroker(t, func(t *testing.T, o kafka.Options, _ []string, a, b, _ *schemas.Classifier) {
		app := &app{config: Config{Brokers: o.Brokers}, log: slog.New(slog.DiscardHandler)}
		truth := []int{0, 1, 2, 3, 4, 5, 6, 7}
		result := func(m *schemas.Classifier, right int) *trainer.Result {
			r := &trainer.Result{Classifier: m}
			for i, k := range truth {
				p := make([]float32, 22)
				if i < right {
					p[k] = 1
				} else {
					p[21] = 1
				}
				r.TestPart.Vectors = append(r.TestPart.Vectors, []float32{float32(i), 1})
				r.TestPart.Categories, r.TestPart.Probabilities = append(r.TestPart.Categories, k), append(r.TestPart.Probabilities, p)
			}
			return r
		}
		f := func(m *schemas.Classifier, right int, when, alias, why string) {
			t.Helper()
			p, err := app.publish(t.Context(), result(m, right), training{promote: when})
			must(t, err)
			contents, err := registry.Read(t.Context(), o)
			must(t, err)
			if p.Alias != alias || contents.Alias(m) != alias || !strings.Contains(p.Why, why) || !strings.Contains(contents.History[len(contents.History)-1].Reason, why) {
				t.Errorf("%d right, %s: got %+v, %q in the registry", right, when, p, contents.Alias(m))
			}
		}
		f(trained(t, 10, noon), 0, promoteBetter, registry.Challenger, "it is right on 0 of 8, the champion on ")
		f(trained(t, 11, noon), 8, promoteNever, registry.Challenger, "(--promote never)")
		f(trained(t, 12, noon), 8, promoteBetter, registry.Champion, "it is right on 8 of 8")
		f(trained(t, 13, noon), 0, promoteAlways, registry.Champion, "(--promote always)")

		// Two trainers at once: whoever comes second has compared with the first, or with a champion that is no more, and never mixes with it.
		first, second := trained(t, 14, noon), trained(t, 15, noon)
		published := make(chan publication, 2)
		for _, m := range []*schemas.Classifier{first, second} {
			r := result(m, 8)
			go func() {
				p, err := app.publish(context.Background(), r, training{promote: promoteBetter})
				if err != nil {
					t.Error(err)
				}
				published <- p
			}()
		}
		champions := 0
		for range 2 {
			if p := <-published; p.Alias == registry.Champion {
				champions++
			} else if !strings.Contains(p.Why, "was replaced meanwhile") {
				t.Errorf("a trainer came second: %+v", p)
			}
		}
		contents, err := registry.Read(t.Context(), o)
		must(t, err)
		live := contents.Champions[registry.ScopeOf(first)]
		if champions == 0 || live != first.Id && live != second.Id || contents.Models[first.Id] == nil || contents.Models[second.Id] == nil {
			t.Errorf("%d became champion, live is %.12s", champions, live)
		}
	})
}
