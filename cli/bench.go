package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"jobstrom/pipeline/embed"
	"jobstrom/producers"
	"jobstrom/samples"
	"jobstrom/schemas"
)

func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure this machine"}
	cmd.AddCommand(a.benchTuneCommand())
	return cmd
}

func (a *app) benchTuneCommand() *cobra.Command {
	var vacancies, measured string
	var write bool
	o := embed.TuneOptions{}
	cmd := &cobra.Command{
		Use:   "tune",
		Short: "Find the threads and batches that embed fastest here",
		Long: `Embed the sample vacancies, or yours, with several numbers of threads and sizes of batches, in turns because machines are noisy, and
compare each with the settings in use. Of those about as fast as the fastest the one is best whose vacancies that come alone take the least time.

--write puts the best into the settings file; processes take it over when they start. No vector changes. Run it on a machine that does nothing else,
with the encoder, --provider and processors that the stage will have.

--measured also measures the other stages and writes what a vacancy costs here to a file, from which jobstrom plan works out machines for so many vacancies a day.`,
		Example: "  jobstrom bench tune\n  jobstrom bench tune --write\n  jobstrom bench tune --vacancies history.jsonl --format json | jq '.[0]'\n  jobstrom bench tune --measured var/measured.json && jobstrom plan --vacancies-per-day 1e6",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&vacancies, "vacancies", "", "`file` of vacancies, JSONL or CSV (default the samples)")
	cmd.Flags().BoolVar(&write, "write", false, "put the best settings into the settings file")
	cmd.Flags().StringVar(&measured, "measured", "", "write what a vacancy costs here to this `file`")
	cmd.Flags().DurationVar(&o.Measure, "measure", 2*time.Second, "`time` of one measurement")
	cmd.Flags().IntVar(&o.Rounds, "rounds", 4, "rounds of measurements; after each the slower half of the settings is left out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		o.Encoder = a.config.embedOptions()
		all, err := a.vacanciesOf(cmd.Context(), vacancies)
		if err != nil {
			return err
		}
		if o.Texts, err = a.textsOf(cmd.Context(), all); err != nil {
			return err
		}
		var bar *bar
		done := 0
		o.Progress = func(now, of int) {
			if bar == nil {
				bar = a.progress("measuring", of, a.err)
			}
			bar.add(now - done)
			done = now
		}
		tuned, err := embed.Tune(cmd.Context(), o)
		if bar != nil {
			bar.done()
		}
		if err != nil {
			return err
		}
		if a.format == "json" {
			err = json.NewEncoder(a.out).Encode(tuned)
		} else {
			a.showTuned(tuned)
		}
		if err == nil && measured != "" {
			err = a.writeMeasured(cmd.Context(), measured, all, o.Texts, tuned[0])
		}
		path, _ := cmd.Flags().GetString("config")
		if path == "" {
			path = configFile
		}
		if err != nil || !write {
			return err
		}
		return a.writeTuned(path, tuned[0])
	}
	return cmd
}

// vacanciesOf reads the vacancies of a file, or the samples; a bad one refuses the file.
func (a *app) vacanciesOf(ctx context.Context, file string) (all []*schemas.Vacancy, err error) {
	add := func(_ int, v *schemas.Vacancy) error {
		all = append(all, v)
		return ctx.Err()
	}
	var refused []error
	bad := func(b *producers.BadLine) { refused = append(refused, b) }
	if file == "" {
		err = producers.Read(samples.Vacancies(), "samples", producers.JSONL, producers.ReadOptions{}, add, bad)
	} else {
		err = a.readFile(file, producers.ReadOptions{}, add, bad)
	}
	return all, errors.Join(append(refused, err)...)
}

// textsOf extracts what is embedded of vacancies.
func (a *app) textsOf(ctx context.Context, all []*schemas.Vacancy) (texts []string, err error) {
	extractor, err := a.extractor(nil, false)
	if err != nil {
		return nil, err
	}
	defer extractor.Close()
	results, err := extractor.Extract(ctx, all)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		if r.Err == nil {
			texts = append(texts, r.Extraction.GetText())
		}
	}
	if len(texts) == 0 {
		return nil, errors.New("extracting from the vacancies: nothing is left of them to embed")
	}
	return texts, nil
}

func (a *app) showTuned(tuned []embed.Tuned) {
	t := a.table("threads", "workers", "batch tokens", "vacancies/s", "of those in use", "", "alone", "")
	for _, c := range tuned {
		mark := ""
		switch {
		case c.Best && c.Current:
			mark = "best, in use"
		case c.Best:
			mark = "best"
		case c.Current:
			mark = "in use"
		}
		t.AppendRow(table.Row{
			c.Threads, c.Workers, c.BatchTokens, fmt.Sprintf("%.1f", c.Throughput), fmt.Sprintf("%.2f", c.Ratio), fmt.Sprintf("%.2f–%.2f", c.Least, c.Most),
			c.Alone.Round(100 * time.Microsecond), mark,
		})
	}
	t.Render()
	best := tuned[0]
	fmt.Fprintf(a.out, "\nthreads: %d\nembed-workers: %d\nbatch-tokens: %d\n", best.Threads, best.Workers, best.BatchTokens)
}

// writeTuned puts settings into the settings file and leaves all else there as it is, comments included.
func (a *app) writeTuned(path string, best embed.Tuned) error {
	mode := fs.FileMode(0o644)
	data, err := os.ReadFile(path)
	if err == nil {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("writing the settings: %w", err)
		}
		mode = info.Mode().Perm()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing the settings: %w", err)
	}
	changed, err := withSettings(data, [][2]string{
		{"threads", strconv.Itoa(best.Threads)}, {"embed-workers", strconv.Itoa(best.Workers)}, {"batch-tokens", strconv.Itoa(best.BatchTokens)},
	})
	if err != nil {
		return fmt.Errorf("writing the settings to %s: %w", path, err)
	}
	err = writeWhole(path, changed, mode)
	if err == nil {
		err = os.Chmod(path, mode) // what the umask took from it
	}
	if err != nil {
		return fmt.Errorf("writing the settings: %w", err)
	}
	fmt.Fprintf(a.err, "written to %s\n", path)
	return nil
}

// withSettings returns a YAML file with settings of these values.
func withSettings(file []byte, values [][2]string) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(file, &document); err != nil {
		return nil, err
	}
	if document.Kind == 0 { // nothing is there
		document = yaml.Node{Kind: yaml.DocumentNode, HeadComment: document.HeadComment, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	settings := document.Content[0]
	if settings.Kind != yaml.MappingNode {
		return nil, errors.New("it holds no settings, which are lines like threads: 2")
	}
	for _, v := range values {
		value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v[1]}
		found := false
		for i := 0; i+1 < len(settings.Content); i += 2 {
			if settings.Content[i].Value == v[0] {
				value.LineComment, found = settings.Content[i+1].LineComment, true
				settings.Content[i+1] = value
			}
		}
		if !found {
			settings.Content = append(settings.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: v[0]}, value)
		}
	}
	return yaml.Marshal(&document)
}
