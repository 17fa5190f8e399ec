package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"jobstrom/pipeline/extract"
	"jobstrom/pipeline/extract/evaluate"
	"jobstrom/producers"
)

func (a *app) extractEvaluateCommand() *cobra.Command {
	var names []string
	var o evaluate.Options
	cmd := &cobra.Command{
		Use:   "evaluate FILE|-",
		Short: "Measure the extractor on texts that people marked entities in",
		Long: `Extract annotated texts and compare: precision, recall and F1 of each label, of all together (micro) and of the labels' mean (macro), with examples of what was missed.

exact    the label and both ends are those of an annotated entity, as at CoNLL-2003
overlap  the label is that of an annotated entity, and a part of it is found, as "type" at SemEval-2013; each entity counts for one find

FILE is JSONL, {"text": "…", "entities": [{"label": "…", "start": 0, "end": 3}]} with offsets in code points, or CoNLL: a token, a TAB and its tag on each line (BIO or BILOU), an
empty line between two texts. --map says which label, or which field (occupations, skills, tasks), an annotated label is; what the data does not annotate is left out. A bad line
is reported with its number, its text is left out, and the exit status is 3.`,
		Example: `  jobstrom extract evaluate annotated.conll --map JOB=occupations --map SKILL=skills
  jobstrom extract evaluate annotated.jsonl --extractor gliner2 --gliner2 var/gliner2 --format json | jq .micro`,
		Args: args(cobra.ExactArgs(1)),
	}
	a.formatFlag(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&names, "map", nil, "what an annotated label is called here, as `annotated=label`; annotated= leaves it out")
	f.BoolVar(&o.Distinct, "distinct", false, "count what a text says several times once: extractors give it once")
	f.IntVar(&o.Examples, "examples", 3, "how many `examples` of each kind and label to show; 0 shows none")
	f.Uint64Var(&o.Seed, "seed", 1, "decides what is drawn for the intervals")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if o.Examples < 0 {
			return fmt.Errorf("--examples is %d: it must be 0 or more (%w)", o.Examples, errUsage)
		}
		if o.Examples == 0 {
			o.Examples = -1
		}
		o.Labels = map[string]string{}
		for _, pair := range names {
			annotated, label, ok := strings.Cut(pair, "=")
			if annotated = strings.TrimSpace(annotated); !ok || annotated == "" {
				return fmt.Errorf("--map holds %q: it must be annotated=label (%w)", pair, errUsage)
			}
			o.Labels[annotated] = strings.TrimSpace(label)
		}
		return a.evaluateExtractor(cmd.Context(), given[0], o)
	}
	return cmd
}

func (a *app) evaluateExtractor(ctx context.Context, name string, o evaluate.Options) error {
	refused := 0
	bad := func(line int, err error) {
		refused++
		fmt.Fprintln(a.err, &producers.BadLine{File: name, Line: line, Err: err})
	}
	texts, err := a.annotated(name, bad)
	if err != nil {
		return err
	}
	options, err := a.extractorOptions(nil, false)
	if err != nil {
		return err
	}
	options.MinLength = 1 // sentences alone, as CoNLL files have them, are short
	x, err := extract.New(options)
	if err != nil {
		return err
	}
	defer x.Close()
	reading := a.progress("extracting", len(texts), io.Discard)
	o.Progress = reading.add
	e, err := evaluate.Run(ctx, x, texts, o, bad)
	reading.done()
	if err != nil {
		return err
	}
	if e.Micro.Annotated == 0 {
		return fmt.Errorf("evaluating on %s: no annotated entity is in it", name)
	}
	for annotated := range o.Labels {
		if !slices.ContainsFunc(texts, func(t evaluate.Text) bool {
			return slices.ContainsFunc(t.Entities, func(e evaluate.Entity) bool { return e.Label == annotated })
		}) {
			a.log.Warn("--map names a label that nothing is annotated with", "label", annotated)
		}
	}
	if a.format == "json" {
		err = json.NewEncoder(a.out).Encode(e)
	} else {
		a.showExtraction(e)
	}
	if err == nil && refused > 0 {
		err = errPartial
	}
	return err
}

// annotated reads annotated texts from a file or stdin.
func (a *app) annotated(name string, bad func(int, error)) ([]evaluate.Text, error) {
	if name == "-" {
		return evaluate.Read(a.in, name, bad)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading annotated texts: %w", err)
	}
	defer file.Close()
	return evaluate.Read(file, name, bad)
}

// showExtraction writes an evaluation for people.
func (a *app) showExtraction(e *evaluate.Evaluation) {
	t := a.table("label", "annotated", "found", "exact P", "R", "F1", "overlap P", "R", "F1")
	row := func(name string, f evaluate.Figures) {
		three := func(v float64) string { return fmt.Sprintf("%.3f", v) }
		t.AppendRow(table.Row{name, f.Annotated, f.Found, three(f.Exact.Precision), three(f.Exact.Recall), three(f.Exact.F1), three(f.Overlap.Precision), three(f.Overlap.Recall), three(f.Overlap.F1)})
	}
	for _, l := range e.Labels {
		row(strings.TrimRight(cut(l.Label, 40), " "), l.Figures)
	}
	t.AppendSeparator()
	row("micro", e.Micro)
	row("macro", e.Macro)
	fmt.Fprintf(a.out, "%s on %d texts\n", e.Extractor, e.Texts)
	t.Render()
	if m := e.Micro; m.Exact.Low != nil {
		fmt.Fprintf(a.out, "micro F1, 95 %% intervals: exact %.3f to %.3f, overlap %.3f to %.3f\n", *m.Exact.Low, *m.Exact.High, *m.Overlap.Low, *m.Overlap.High)
	}
	if e.Unplaced > 0 {
		fmt.Fprintf(a.out, "%d finds are put together from several places: they count as found, never as right\n", e.Unplaced)
	}
	for _, label := range slices.Sorted(maps.Keys(e.Unasked)) {
		fmt.Fprintf(a.out, "left out: %d finds of %s, which nothing is annotated with (--map)\n", e.Unasked[label], label)
	}
	kind := ""
	for _, x := range e.Examples {
		if x.Kind != kind {
			kind = x.Kind
			fmt.Fprintf(a.out, "\n%s\n", map[string]string{evaluate.Missed: "missed", evaluate.False: "found where nothing is annotated", evaluate.Boundary: "other ends: annotated, found"}[kind])
		}
		var said []string
		for _, s := range []string{x.Annotated, x.Found} {
			if s != "" {
				said = append(said, fmt.Sprintf("%q", strings.TrimRight(cut(s, 60), " ")))
			}
		}
		fmt.Fprintf(a.out, "  line %d, %s: %s\n", x.Line, x.Label, strings.Join(said, ", "))
	}
}
