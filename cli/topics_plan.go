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

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"jobstrom/kafka"
	"jobstrom/models"
)

// errPending says that a plan has something to do.
var errPending = errors.New("changes are pending, see above")

// topicsFile is the form of --file.
type topicsFile struct {
	Topics map[string]map[string]string `yaml:"topics"`
}

// readTopicsFile reads an operator's declarations; no path, none.
func readTopicsFile(path string) (map[string]map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the declaration of topics: %w", err)
	}
	defer f.Close()
	decoder := yaml.NewDecoder(f)
	decoder.KnownFields(true)
	var file topicsFile
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the declaration of topics from %s: %w", path, err)
	}
	return file.Topics, nil
}

// declared returns what the settings and a file say of the topics.
func (a *app) declaredTopics(path string) ([]kafka.Declaration, error) {
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err != nil {
		return nil, err
	}
	values, err := readTopicsFile(path)
	if err != nil {
		return nil, err
	}
	all := kafka.Declare(card.ID, a.config.layout())
	if err := kafka.Override(all, values); err != nil {
		return nil, fmt.Errorf("checking the declaration of topics in %s:\n%w", path, err)
	}
	return all, nil
}

func (a *app) topicsPlanCommand() *cobra.Command {
	var file string
	var printed bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what topics apply would change",
		Long: `plan compares what is declared of the topics, by built-in values and by --file, with what is there, and changes nothing. The exit
status is 0 when there is nothing to do, 5 when changes are pending, and 3 when all that differs is never done.`,
		Example: `  jobstrom topics plan --brokers kafka-1:9092
  jobstrom topics plan --print > topics.yaml
  jobstrom topics plan --file topics.yaml --format json`,
		Args: args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&file, "file", "", "`file` of what topics are to be, over the built-in values")
	cmd.Flags().BoolVar(&printed, "print", false, "write what is declared as such a file and ask no broker")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		declared, err := a.declaredTopics(file)
		if err != nil {
			return err
		}
		if printed {
			return a.printTopics(declared)
		}
		client, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		plan, err := kafka.PlanTopics(cmd.Context(), client, declared)
		if err != nil {
			return err
		}
		if err := a.showChanges(plan.Changes, "Nothing to do: the topics are as they are declared."); err != nil {
			return err
		}
		switch {
		case plan.Pending():
			return errPending
		case plan.Has(kafka.Refused):
			return errPartial
		}
		return nil
	}
	return cmd
}

func (a *app) topicsApplyCommand() *cobra.Command {
	var file string
	var options kafka.ApplyOptions
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the topics what is declared, without losing a record",
		Long: `apply creates topics, changes their settings and moves replicas, as plan shows. It deletes no topic, changes no number of partitions and leaves settings
alone that nobody declared. What would delete records is left out, with exit status 3, unless --allow-data-loss is given.`,
		Args: args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&file, "file", "", "`file` of what topics are to be, over the built-in values")
	cmd.Flags().BoolVar(&options.Destroy, "allow-data-loss", false, "shorten retention and change clean-up also where records go, which plan names")
	cmd.Flags().DurationVar(&options.Wait, "wait", 0, "longest `time` to wait for moves of replicas (default 10m); they go on by themselves")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		declared, err := a.declaredTopics(file)
		if err != nil {
			return err
		}
		client, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		return a.applyTopics(cmd.Context(), client, declared, options)
	}
	return cmd
}

func (a *app) applyTopics(ctx context.Context, client *kgo.Client, declared []kafka.Declaration, o kafka.ApplyOptions) error {
	plan, err := kafka.PlanTopics(ctx, client, declared)
	if err != nil {
		return err
	}
	done, err := plan.Apply(ctx, client, o)
	// What was done stands first, also after an error; what was left out behind it.
	shown := slices.Clone(done)
	left := false
	for _, c := range plan.Changes {
		if c.Kind == kafka.Refused || c.Kind == kafka.Destroys && !o.Destroy {
			left = true
			shown = append(shown, c)
		}
	}
	if failed := a.showChanges(shown, "Nothing was done: the topics are as they are declared."); failed != nil {
		return failed
	}
	if err == nil && left {
		return fmt.Errorf("%w: it was left out (--allow-data-loss does what destroys records)", errPartial)
	}
	return err
}

// printTopics writes declarations in the form of --file.
func (a *app) printTopics(declared []kafka.Declaration) error {
	file := topicsFile{Topics: map[string]map[string]string{}}
	for _, d := range declared {
		values := maps.Clone(d.Settings)
		values["partitions"], values["replication.factor"] = fmt.Sprint(d.Partitions), fmt.Sprint(d.Replication)
		file.Topics[d.Topic] = values
	}
	if _, err := fmt.Fprintln(a.out, "# What topics are to be, for jobstrom topics plan and apply. A value that is left out is the built-in one; of min.insync.replicas, what is there.\n"+
		"# replication.factor -1 leaves it to the brokers. A name may end in *: \"*\" is every topic."); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(a.out)
	encoder.SetIndent(2)
	return errors.Join(encoder.Encode(file), encoder.Close())
}

// showChanges writes changes as a table or as JSON.
func (a *app) showChanges(changes []kafka.Change, none string) error {
	if a.format == "json" {
		if changes == nil {
			changes = []kafka.Change{}
		}
		return json.NewEncoder(a.out).Encode(changes)
	}
	if !slices.ContainsFunc(changes, func(c kafka.Change) bool { return c.Kind != kafka.Foreign && c.Kind != kafka.UnderWay }) {
		if _, err := fmt.Fprintln(a.out, none); err != nil || len(changes) == 0 {
			return err
		}
	}
	w := a.table("", "topic", "what", "is", "becomes")
	for _, c := range changes {
		w.AppendRow(table.Row{c.Kind, c.Topic, c.What, c.From, c.To})
		if c.Note != "" {
			w.AppendRow(table.Row{"", c.Note}, table.RowConfig{AutoMerge: true})
		}
	}
	w.Render()
	return nil
}
