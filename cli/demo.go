package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/samples"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

// demoTimeout bounds how long a demo waits for its vacancies.
const demoTimeout = 5 * time.Minute

func (a *app) demoCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run everything here and classify the sample vacancies",
		Long: `Start everything on this machine, publish the sample vacancies, show each as its category arrives, and sum up. Then stay up until Ctrl-C.
The accuracy is that on the samples the classifier was never trained on.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := a.up(cmd.Context())
			if err != nil {
				return err
			}
			defer f.stop()
			d := demo{flow: f, sent: map[string]sample{}}
			if err := d.run(f.work); err != nil {
				return err
			}
			if once {
				return nil
			}
			fmt.Fprintln(a.out, "\nEverything stays up: Ctrl-C ends it.")
			return f.wait()
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end after the summary")
	return cmd
}

// demo publishes the samples and collects what becomes of them.
type demo struct {
	*flow
	mu   sync.Mutex
	sent map[string]sample // by id

	answers     []answer
	deadLetters int
	first, last time.Time
}

// sample is a published vacancy.
type sample struct {
	title    string
	category int
	unseen   bool
}

// answer is a classified one.
type answer struct {
	sample
	classification *schemas.Classification
	took           time.Duration
}

func (d *demo) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	vacancies, err := d.samples()
	if err != nil {
		return err
	}
	before, err := d.warehouse.Counts(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "%s  %s  %7s  %10s\n", cut("vacancy", 40), cut("category", 50), "conf.", "time")
	progress := d.progress("classified", len(vacancies), d.out)
	published := make(chan error, 1)
	err = consumers.Follow(ctx, consumers.FollowOptions{
		Kafka: d.kafka, Topics: []string{kafka.Classified, kafka.DeadLetter},
		Ready: func() { go func() { published <- d.publish(ctx, vacancies) }() },
	}, func(r *kgo.Record) (bool, error) {
		if kafka.IsErasure(r) {
			return true, nil
		}
		if r.Topic == kafka.DeadLetter {
			d.deadLetters++
		} else if ours, err := d.arrived(r, progress); err != nil || !ours {
			return true, err
		}
		progress.add(1)
		return len(d.answers)+d.deadLetters < len(vacancies), nil
	})
	progress.done()
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("waiting for the samples: %d of %d arrived: %w", len(d.answers), len(vacancies), ctx.Err())
	}
	if err != nil {
		return err
	}
	if err := <-published; err != nil {
		return err
	}
	rows, err := d.stored(ctx, before)
	if err != nil {
		return err
	}
	d.summary(rows)
	return nil
}

// samples reads both files; what is in one is not in the other.
func (d *demo) samples() ([]*schemas.Vacancy, error) {
	var all []*schemas.Vacancy
	read := func(in io.Reader, name string, unseen bool) error {
		return producers.Read(in, name, producers.JSONL, producers.ReadOptions{}, func(_ int, v *schemas.Vacancy) error {
			category, err := d.pipeline.Taxonomy.Find(v.Category)
			d.sent[v.Id] = sample{v.Title, category.Index, unseen}
			all = append(all, v)
			return err
		}, func(b *producers.BadLine) { d.log.Error("sample", "error", b) })
	}
	if err := read(samples.Vacancies(), "vacancies.jsonl", false); err != nil {
		return nil, err
	}
	return all, read(samples.Unseen(), "unseen.jsonl", true)
}

func (d *demo) publish(ctx context.Context, vacancies []*schemas.Vacancy) error {
	client, err := kafka.NewClient(d.kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	d.mu.Lock()
	d.first = time.Now()
	d.mu.Unlock()
	publisher := producers.NewPublisher(client, d.pipeline.Taxonomy)
	if d.tracing != nil {
		publisher.Tracer = d.tracing.Tracer("jobstrom/producers")
	}
	for _, v := range vacancies {
		if err := publisher.Publish(ctx, v); err != nil {
			return err
		}
	}
	_, _, err = publisher.Close(ctx)
	return err
}

// arrived shows a classified record; others than the demo's pass by.
func (d *demo) arrived(r *kgo.Record, progress *bar) (ours bool, err error) {
	c, err := consumers.DecodeClassification(r)
	if err != nil {
		return false, err
	}
	s, ours := d.sent[c.Id]
	if !ours {
		return false, nil
	}
	took := time.Since(kafka.RawTime(r))
	d.answers = append(d.answers, answer{s, c, took})
	d.last = time.Now()
	progress.log("%s  %s  %5.1f %%  %7d ms", cut(s.title, 40), cut(c.Category, 50), 100*c.Confidence, took.Milliseconds())
	return true, nil
}

// stored waits until the sink has caught up and returns how many rows came to each view.
func (d *demo) stored(ctx context.Context, before map[string]uint64) (map[string]uint64, error) {
	for {
		now, err := d.warehouse.Counts(ctx)
		if err != nil {
			return nil, err
		}
		if now["predictions"]-before["predictions"] >= uint64(len(d.answers)) && now["embeddings"]-before["embeddings"] >= uint64(len(d.answers)) {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for ClickHouse to hold %d predictions: it holds %d more than before: %w", len(d.answers), now["predictions"]-before["predictions"], ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *demo) summary(rows map[string]uint64) {
	counts := make([]int, len(d.pipeline.Taxonomy.Categories))
	var probabilities [][]float32
	var truth []int
	var took []time.Duration
	for _, a := range d.answers {
		counts[a.classification.CategoryIndex]++
		took = append(took, a.took)
		if a.unseen {
			probabilities, truth = append(probabilities, a.classification.Probabilities), append(truth, a.category)
		}
	}
	slices.Sort(took)
	evaluation := trainer.Evaluate(probabilities, truth, len(counts))
	t := newTable(d.out, "category", "vacancies", "")
	for i, n := range counts {
		t.AppendRow(table.Row{d.pipeline.Taxonomy.Categories[i].Name, n, strings.Repeat("▇", n)})
	}
	fmt.Fprintln(d.out)
	t.Render()
	seconds := d.last.Sub(d.first).Seconds()
	fmt.Fprintf(d.out, "\n%d classified, %d dead letters, %.1f s, %.0f vacancies/s; publish to classified: median %d ms, slowest %d ms\n",
		len(d.answers), d.deadLetters, seconds, float64(len(d.answers))/seconds, took[len(took)/2].Milliseconds(), took[len(took)-1].Milliseconds())
	fmt.Fprintf(d.out, "accuracy on %d unseen vacancies: top-1 %.3f (95 %% interval %.3f to %.3f), top-3 %.3f, macro F1 %.3f\n",
		evaluation.N, evaluation.Top1, evaluation.Top1Low, evaluation.Top1High, evaluation.Top3, evaluation.MacroF1)
	fmt.Fprintf(d.out, "ClickHouse holds")
	for _, view := range []string{"embeddings", "predictions", "labels", "dead_letters"} {
		fmt.Fprintf(d.out, "  %s %d", view, rows[view])
	}
	fmt.Fprintln(d.out)
}
