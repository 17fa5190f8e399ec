package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// shadowWait bounds how long the comparison waits for the sink.
const shadowWait = 2 * time.Minute

// reprocessing holds the flags of the command.
type reprocessing struct {
	from, since, until, classifier, name string
}

func (a *app) reprocessCommand() *cobra.Command {
	var f reprocessing
	cmd := &cobra.Command{
		Use:   "reprocess",
		Short: "Run history again with another classifier or encoder, beside what consumers read",
		Long: `Run what a topic still holds through the stages after it, with another classifier (--classifier) or encoder (--encoder), and write the answers to
` + kafka.Shadow + `, from where the sink puts them into ClickHouse's shadow_predictions under their name. What consumers read stays as it is; erased
vacancies are left out. Each record is answered exactly once: what was interrupted goes on when the same command is run again. When it is
done, the answers are compared with the live predictions.

--from embedded only classifies, with a classifier of the live encoder. --from extracted embeds and classifies: another --encoder needs a classifier
that was trained on it. --from raw extracts, too. With --embed-reuse texts that --encoder embedded before take their vectors from ClickHouse.`,
		Example: `  jobstrom reprocess --classifier var/models/3f….bin --since 168h
  jobstrom reprocess --from extracted --encoder var/encoders/fp32 --classifier fp32.bin --name fp32-trial`,
		Args: args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&f.from, "from", "embedded", "`topic` to begin with: raw, extracted or embedded")
	cmd.Flags().StringVar(&f.since, "since", "", "written to that topic at this `time` or later: 2h (ago), 2026-03-14 or 2026-03-14T12:00:00Z (default all)")
	cmd.Flags().StringVar(&f.until, "until", "", "written before this `time` (default what is there now)")
	cmd.Flags().StringVar(&f.classifier, "classifier", "", "`file` or id of a classifier (default the champion)")
	cmd.Flags().StringVar(&f.name, "name", "", "`name` of this reprocessing; the same goes on where it stopped (default made of --from and the classifier's id)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.reprocess(cmd.Context(), f) }
	return cmd
}

func (a *app) reprocess(ctx context.Context, f reprocessing) error {
	if !slices.Contains([]string{"raw", "extracted", "embedded"}, f.from) {
		return fmt.Errorf("--from is %q: use raw, extracted or embedded (%w)", f.from, errUsage)
	}
	options := consumers.ReprocessOptions{Name: f.name, Runner: consumers.RunnerOptions{Kafka: a.kafkaOptions(), Version: version, Logger: a.log}}
	var err error
	if options.Since, err = parseTime("since", f.since, time.Now()); err != nil {
		return err
	}
	if options.Until, err = parseTime("until", f.until, time.Now()); err != nil {
		return err
	}
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err != nil {
		return err
	}
	classifier, err := a.classifierOf(ctx, f.classifier, card.ID)
	if err != nil {
		return err
	}
	if options.Name == "" {
		options.Name = f.from + "-" + classifier.Model()[:12]
	}
	if err := options.Validate(); err != nil {
		return fmt.Errorf("%w (%w)", err, errUsage)
	}
	if err := ensureShadow(ctx, client, card.ID); err != nil {
		return err
	}
	stages, closeStages, err := a.stagesFrom(ctx, client, f.from, card.ID, classifier)
	if err != nil {
		return err
	}
	defer closeStages()
	options.Stages = stages
	reading := &bar{plain: io.Discard}
	options.Start = func(n int) { reading = a.progress("reprocessing", n, io.Discard) }
	options.Passed = func(n int) { reading.add(n) }
	start := time.Now()
	result, err := consumers.Reprocess(ctx, options)
	reading.done()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return fmt.Errorf("stopped after %d records: run it again with --name %s to go on", result.Classified, options.Name)
	}
	if err != nil {
		return err
	}
	comparison, err := a.compare(ctx, options.Name, result.Classified)
	if err != nil {
		a.log.Warn("no comparison with the live predictions", "error", err)
	}
	return a.printReprocessing(options.Name, classifier.Model(), result, comparison, time.Since(start))
}

// ensureShadow creates the topics that are missing with the partitions that the flow has.
func ensureShadow(ctx context.Context, client *kgo.Client, encoder string) error {
	details, err := kafka.ListTopics(ctx, client, encoder)
	if err != nil {
		return err
	}
	if details.Has(kafka.Shadow) && details[kafka.Shadow].Err == nil && details.Has(kafka.Embedded(encoder)) && details[kafka.Embedded(encoder)].Err == nil {
		return nil
	}
	partitions := len(details[kafka.Raw].Partitions)
	if partitions == 0 {
		return fmt.Errorf("finding topic %s: there is none: nothing was published here", kafka.Raw)
	}
	return kafka.EnsureTopics(ctx, client, encoder, kafka.Layout{Partitions: int32(partitions), Replication: -1})
}

// classifierOf opens a file, a classifier of the registry, or without a name the champion, and where there is none the default.
func (a *app) classifierOf(ctx context.Context, name, encoder string) (*classify.Classifier, error) {
	taxonomy := schemas.Jobnet()
	var model *schemas.Classifier
	data, err := os.ReadFile(name)
	switch {
	case name != "" && err == nil:
		model, err = models.DecodeClassifier(data)
	case name != "" && strings.ContainsAny(name, "./"):
		return nil, fmt.Errorf("reading the classifier: %w", err)
	default:
		model, err = registry.Find(ctx, a.kafkaOptions(), registry.Scope{Taxonomy: taxonomy.ID, Encoder: encoder}, name)
		if name == "" && errors.Is(err, registry.ErrUnknown) {
			model, err = classify.DefaultModel(encoder)
		}
	}
	if err != nil {
		return nil, err
	}
	if model.Encoder != encoder {
		return nil, fmt.Errorf("opening classifier %.12s: %w: it takes those of %.12s, --encoder is %.12s", model.Id, classify.ErrOtherEncoder, model.Encoder, encoder)
	}
	return classify.New(model, taxonomy, a.config.classifyOptions())
}

// stagesFrom returns the stages that follow a topic.
func (a *app) stagesFrom(ctx context.Context, client *kgo.Client, from, encoder string, classifier *classify.Classifier) (stages []consumers.Stage, closeStages func(), err error) {
	taxonomy, live := schemas.Jobnet(), &classify.Live{}
	live.Store(classifier)
	stages = []consumers.Stage{consumers.Classify(live, taxonomy, encoder)}
	if from == "embedded" {
		return stages, func() {}, nil
	}
	var before []consumers.Stage
	var open []io.Closer
	closeAll := func() {
		for _, c := range open {
			_ = c.Close()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	if from == "raw" {
		// No employer's hash is among the answers, so no key is needed.
		extractor, err := a.extractor(nil, false)
		if err != nil {
			return nil, nil, err
		}
		open = append(open, extractor)
		raw, err := kafka.IDOf(ctx, client, kafka.Raw)
		if err != nil {
			return nil, nil, err
		}
		before = append(before, consumers.Extract(extractor, raw))
	}
	e, err := embed.New(a.config.embedOptions())
	if err != nil {
		return nil, nil, err
	}
	open = append(open, e)
	w, err := a.storedVectors(ctx)
	if err != nil {
		return nil, nil, err
	}
	if w != nil {
		open = append(open, w)
	}
	stored := consumers.NewStored(e, consumers.StoredOptions{Warehouse: w, Logger: a.log})
	return append(append(before, consumers.Embed(stored)), stages...), closeAll, nil
}

// compare waits until the sink has what was written, or for shadowWait, and compares it with the live predictions.
func (a *app) compare(ctx context.Context, name string, classified int) (c warehouse.Comparison, err error) {
	w, err := a.dialWarehouse(ctx)
	if err != nil {
		return c, err
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(ctx, shadowWait)
	defer cancel()
	for {
		now, err := w.CompareShadow(ctx, name)
		if err != nil && ctx.Err() != nil {
			return c, nil // what is there so far
		}
		if c = now; err != nil || c.Shadow >= uint64(classified) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return c, nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (a *app) printReprocessing(name, model string, r consumers.ReprocessResult, c warehouse.Comparison, took time.Duration) error {
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(map[string]any{
			"name": name, "model": model, "classified": r.Classified, "erased": r.Erased, "refused": r.Refused,
			"in_clickhouse": c.Shadow, "compared": c.Both, "agree": c.Same,
		})
	}
	refused := 0
	var classes []string
	for _, class := range slices.Sorted(maps.Keys(r.Refused)) {
		refused += r.Refused[class]
		classes = append(classes, fmt.Sprintf("%s %d", class, r.Refused[class]))
	}
	fmt.Fprintf(a.out, "%s: %d classified by %.12s, %d refused", name, r.Classified, model, refused)
	if refused > 0 {
		fmt.Fprintf(a.out, " (%s)", strings.Join(classes, ", "))
	}
	fmt.Fprintf(a.out, ", %d erased, %.1f s\n", r.Erased, took.Seconds())
	if c.Both > 0 {
		fmt.Fprintf(a.out, "%d of %d have the category of the live prediction (%.1f %%)\n", c.Same, c.Both, 100*float64(c.Same)/float64(c.Both))
	} else {
		fmt.Fprintln(a.out, "ClickHouse holds nothing to compare yet: the sink brings it")
	}
	return nil
}
