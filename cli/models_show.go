package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"jobstrom/models"
	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

// facts are what is said of a model, by name, in the order in which they are shown.
func facts(m *schemas.Classifier) (names []string, values map[string]string) {
	values = map[string]string{}
	add := func(name, value string) {
		if value != "" && value != "0" {
			names, values[name] = append(names, name), value
		}
	}
	moment := func(t *timestamppb.Timestamp) string {
		if t == nil {
			return ""
		}
		at := t.AsTime()
		return when(&at) + " UTC"
	}
	count := func(n uint64) string { return strconv.FormatUint(n, 10) }
	card := m.GetCard()
	add("trained", moment(m.TrainedAt))
	add("by jobstrom", card.GetVersion())
	add("encoder", strings.TrimSpace(card.GetEncoderName()+" "+m.Encoder))
	add("taxonomy", m.Taxonomy)
	add("dimensions", strconv.Itoa(int(m.Dim)))
	add("categories", strconv.Itoa(int(m.Categories)))
	add("rows of weights", strconv.Itoa(models.Rows(m)))
	add("temperature", strconv.FormatFloat(float64(m.Temperature), 'g', 4, 32))
	h := card.GetHistory()
	add("history rows", count(h.GetRows()))
	add("history asked since", moment(h.GetSince()))
	add("history asked until", moment(h.GetUntil()))
	add("history source", h.GetSource())
	add("history origin", h.GetOrigin())
	add("history from", moment(h.GetFirst()))
	add("history to", moment(h.GetLast()))
	if s := card.GetSplit(); s != nil {
		add("split", fmt.Sprintf("%d train, %d validation, %d test; seed %d; %s", s.Train, s.Validation, s.Test, s.Seed, s.Method))
	}
	if b := card.GetBaseline(); b != nil {
		add("baseline", fmt.Sprintf("mean and variance of %d components, shares of %d categories, on %d rows", len(b.Mean), len(b.Shares), b.Rows))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Training)) {
		add("setting "+name, m.Training[name])
	}
	return names, values
}

func (a *app) modelsShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show MODEL",
		Short:   "Show a model's card: what it was made of, how good it was, what was done to it",
		Example: "  jobstrom models show champion\n  jobstrom models show 3fa9 --format json | jq .card.baseline.shares",
		Args:    args(cobra.ExactArgs(1)), ValidArgsFunction: a.completeModels(1),
	}
	a.formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		m, err := a.model(contents, given[0])
		alias := contents.Alias(m)
		if errors.Is(err, registry.ErrUnknown) {
			if m = contents.Retired(given[0]); m != nil {
				alias, err = "retired", nil
			}
		}
		if err != nil {
			return err
		}
		if a.format == "json" {
			said, err := schemas.Encode(schemas.JSON, models.WithoutNumbers(m))
			if err != nil {
				return err
			}
			var all map[string]any
			if err := json.Unmarshal(said, &all); err != nil {
				return err
			}
			all["alias"] = alias
			return json.NewEncoder(a.out).Encode(all)
		}
		fmt.Fprintf(a.out, "%s %s\n\n", m.Id, alias)
		names, values := facts(m)
		for _, name := range names {
			fmt.Fprintf(a.out, "%-20s %s\n", name, values[name])
		}
		if len(m.Metrics) > 0 {
			t := a.table("on vacancies that it was not trained on", "")
			for _, name := range slices.Sorted(maps.Keys(m.Metrics)) {
				t.AppendRow(table.Row{name, strconv.FormatFloat(m.Metrics[name], 'f', -1, 32)})
			}
			t.Render()
		}
		for _, e := range contents.History {
			if e.Model == m.Id {
				fmt.Fprintf(a.out, "%s  %s  %s\n", e.At.AsTime().Format(time.DateTime), e.Action, e.Reason)
			}
		}
		return nil
	}
	return cmd
}

// difference is what two models differ in, for machines.
type difference struct {
	A        string                `json:"a"`
	B        string                `json:"b"`
	Facts    map[string][2]string  `json:"facts"`
	Metrics  map[string][2]float64 `json:"metrics"`
	Bytes    [2]int                `json:"bytes"`
	Cosine   float64               `json:"cosine"`
	Farthest []categoryCosine      `json:"farthest_categories"`
	// Agreement is the share of vectors, drawn like those that A was trained on, to which both give the same category; absent without a baseline.
	Agreement *float64 `json:"agreement"`
}

type categoryCosine struct {
	Category string  `json:"category"`
	Cosine   float64 `json:"cosine"`
}

func (a *app) modelsDiffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two models: settings, metrics, weights, size",
		Long: `Compare two models. The cosine is that of their categories' mean weights, each without what all categories share. The agreement is on 2,000 vectors that
are drawn like those that A was trained on, component by component; on real vacancies, jobstrom models gate tells.`,
		Example: "  jobstrom models diff champion 3fa9",
		Args:    args(cobra.ExactArgs(2)), ValidArgsFunction: a.completeModels(2),
	}
	a.formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		first, err := a.model(contents, given[0])
		if err != nil {
			return err
		}
		second, err := a.model(contents, given[1])
		if err != nil {
			return err
		}
		if registry.ScopeOf(first) != registry.ScopeOf(second) || first.Dim != second.Dim {
			return fmt.Errorf("comparing %.12s with %.12s: one is of encoder %.12s, the other of %.12s: their weights have nothing in common", first.Id, second.Id, first.Encoder, second.Encoder)
		}
		d := compareModels(first, second, schemas.Jobnet().Names())
		if a.format == "json" {
			return json.NewEncoder(a.out).Encode(d)
		}
		a.printDifference(d)
		return nil
	}
	return cmd
}

func compareModels(a, b *schemas.Classifier, names []string) difference {
	d := difference{A: a.Id, B: b.Id, Facts: map[string][2]string{}, Metrics: map[string][2]float64{}}
	_, of := facts(a)
	_, ofB := facts(b)
	for name := range mergedKeys(of, ofB) {
		if of[name] != ofB[name] {
			d.Facts[name] = [2]string{of[name], ofB[name]}
		}
	}
	for name := range mergedKeys(a.Metrics, b.Metrics) {
		d.Metrics[name] = [2]float64{a.Metrics[name], b.Metrics[name]}
	}
	for i, m := range []*schemas.Classifier{a, b} {
		if data, err := models.EncodeClassifier(m); err == nil {
			d.Bytes[i] = len(data)
		}
	}
	wa, wb := directions(a), directions(b)
	d.Cosine = cosine(slices.Concat(wa...), slices.Concat(wb...))
	for k := range wa {
		name := strconv.Itoa(k)
		if k < len(names) {
			name = names[k]
		}
		d.Farthest = append(d.Farthest, categoryCosine{name, cosine(wa[k], wb[k])})
	}
	slices.SortStableFunc(d.Farthest, func(x, y categoryCosine) int {
		switch {
		case x.Cosine < y.Cosine:
			return -1
		case x.Cosine > y.Cosine:
			return 1
		}
		return 0
	})
	d.Farthest = d.Farthest[:min(3, len(d.Farthest))]
	if base := a.GetCard().GetBaseline(); len(base.GetMean()) > 0 {
		const draws = 2000
		random, vectors := rand.New(rand.NewPCG(1, 1)), make([][]float32, draws)
		for i := range vectors {
			vectors[i] = make([]float32, a.Dim)
			for j := range vectors[i] {
				vectors[i][j] = base.Mean[j] + float32(random.NormFloat64()*math.Sqrt(float64(base.Variance[j])))
			}
		}
		same := 0.0
		pa, pb := trainer.Predictions(trainer.Probabilities(trainer.Scores(a, vectors), 1)), trainer.Predictions(trainer.Probabilities(trainer.Scores(b, vectors), 1))
		for i := range pa {
			if pa[i] == pb[i] {
				same++
			}
		}
		same /= draws
		d.Agreement = &same
	}
	return d
}

func mergedKeys[V any](a, b map[string]V) map[string]bool {
	all := map[string]bool{}
	for name := range a {
		all[name] = true
	}
	for name := range b {
		all[name] = true
	}
	return all
}

// directions returns each category's mean weights, without what all categories share, which changes no probability.
func directions(m *schemas.Classifier) [][]float64 {
	dim, k := int(m.Dim), int(m.Categories)
	all, owned, weights := make([][]float64, k), make([]float64, k), models.Weights(m)
	for c := range all {
		all[c] = make([]float64, dim)
	}
	for row := range models.Rows(m) {
		owned[models.Owner(m, row)]++
	}
	for row := range models.Rows(m) {
		c := models.Owner(m, row)
		for j, w := range weights[row*dim : (row+1)*dim] {
			all[c][j] += float64(w) / owned[c]
		}
	}
	for j := range dim {
		mean := 0.0
		for c := range all {
			mean += all[c][j] / float64(k)
		}
		for c := range all {
			all[c][j] -= mean
		}
	}
	return all
}

// cosine is 0 where one has no length.
func cosine(a, b []float64) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab, aa, bb = ab+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

func (a *app) printDifference(d difference) {
	first, second := d.A[:12], d.B[:12]
	if len(d.Facts) > 0 {
		t := a.table("", first, second)
		for _, name := range slices.Sorted(maps.Keys(d.Facts)) {
			t.AppendRow(table.Row{name, d.Facts[name][0], d.Facts[name][1]})
		}
		t.Render()
	}
	t := a.table("metric, each on its own test vacancies", first, second, "change")
	for _, name := range slices.Sorted(maps.Keys(d.Metrics)) {
		v := d.Metrics[name]
		t.AppendRow(table.Row{name, fmt.Sprintf("%.4g", v[0]), fmt.Sprintf("%.4g", v[1]), fmt.Sprintf("%+.4g", v[1]-v[0])})
	}
	t.AppendRow(table.Row{"bytes", d.Bytes[0], d.Bytes[1], fmt.Sprintf("%+d", d.Bytes[1]-d.Bytes[0])})
	t.Render()
	fmt.Fprintf(a.out, "cosine of the weights %.3f; farthest apart:", d.Cosine)
	for i, c := range d.Farthest {
		if i > 0 {
			fmt.Fprint(a.out, ",")
		}
		fmt.Fprintf(a.out, " %s %.3f", c.Category, c.Cosine)
	}
	if d.Agreement != nil {
		fmt.Fprintf(a.out, "\nthe same category for %.1f %% of vectors drawn like those that %s was trained on", 100**d.Agreement, first)
	}
	fmt.Fprintln(a.out)
}
