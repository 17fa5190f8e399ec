package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"jobstrom/capacity"
	"jobstrom/kafka"
	"jobstrom/models"
)

// measuredFile is where jobstrom plan looks in the data folder when --measured names no other.
const measuredFile = "measured.json"

func (a *app) planCommand() *cobra.Command {
	var d capacity.Demand
	var measured, disk, memory string
	var length float64
	cmd := &cobra.Command{
		Use:   "plan --vacancies-per-day N",
		Short: "Work out machines, partitions and disk for so many vacancies",
		Long: `Work out what a flow needs: processes of each stage, partitions, Kafka's and ClickHouse's disk, and what breaks first when it grows.

It reckons from what a vacancy costs. jobstrom bench tune --measured measures that on a machine of yours, with your encoder and your vacancies; without it the figures are those of the
default encoder and the samples on the machine that the output names. --retention is ClickHouse's, a year where it is not set; topics are kept as jobstrom topics makes them.
Nothing is connected to. docs/capacity.md shows the arithmetic.`,
		Example: "  jobstrom plan --vacancies-per-day 50000\n  jobstrom plan --vacancies-per-day 1e6 --peak 5 --retention 17520h --replicas 2\n  jobstrom plan --vacancies-per-day 2e5 --encoder var/encoders/mine --measured mine.json --format json | jq .stages",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	f := cmd.Flags()
	f.Float64Var(&d.PerDay, "vacancies-per-day", 0, "vacancies published on an average `day`, like 50000 or 1e6")
	f.Float64Var(&d.Peak, "peak", 3, "rate of the busiest hour over that of the average one")
	f.DurationVar(&d.Outage, "outage", time.Hour, "`time` that the flow may stand still")
	f.DurationVar(&d.CatchUp, "catch-up", 4*time.Hour, "`time` in which it must have caught up afterwards")
	f.Float64Var(&d.Utilisation, "utilisation", .7, "share of processors and disks that is used at most")
	f.Float64Var(&d.Growth, "growth", 4, "how many times the demand the partitions are made for: their number never changes")
	f.IntVar(&d.Processors, "processors", 4, "processors of one process of a stage")
	f.IntVar(&d.ServerProcessors, "server-processors", 8, "processors of one server of ClickHouse")
	f.StringVar(&disk, "server-disk", "4TB", "`bytes` of disk of one server of ClickHouse")
	f.StringVar(&memory, "server-memory", "64GB", "`bytes` of memory of one server of ClickHouse")
	f.IntVar(&d.Replicas, "replicas", 1, "servers of ClickHouse that hold each row")
	f.IntVar(&d.Encoders, "encoders", 1, "encoders that answer side by side, the live one included")
	f.BoolVar(&d.WithoutSimilar, "without-similar", false, "leave out the table in which similar vacancies are searched")
	f.Float64Var(&length, "vacancy-bytes", 0, "mean `bytes` of a vacancy on the raw topic (default that of those measured)")
	f.StringVar(&measured, "measured", "", "`file` of jobstrom bench tune --measured (default "+measuredFile+" in the data folder, where it is there)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		usage := func(err error) error { return fmt.Errorf("%w (%w)", err, errUsage) }
		if !f.Changed("vacancies-per-day") {
			return usage(errors.New("planning: say for how many with --vacancies-per-day"))
		}
		for _, size := range []struct {
			name, given string
			into        *float64
		}{{"server-disk", disk, &d.ServerDisk}, {"server-memory", memory, &d.ServerMemory}} {
			bytes, err := humanize.ParseBytes(size.given)
			if err != nil {
				return usage(fmt.Errorf("%s (%s) must be a number of bytes, like 4TB", size.name, size.given))
			}
			*size.into = float64(bytes)
		}
		m, err := a.measured(measured, cmd.Flags().Changed("encoder"))
		if err != nil {
			return err
		}
		if f.Changed("vacancy-bytes") {
			if !(length > 0 && length <= kafka.MaxRecordBytes) {
				return usage(fmt.Errorf("vacancy-bytes (%g) must be above 0 and at most %d", length, kafka.MaxRecordBytes))
			}
			m = m.With(length)
		}
		d.Keep = a.config.Retention
		if a.config.Replication > 0 {
			d.Replication = a.config.Replication
		}
		d.Topics = topicRetention()
		p, err := capacity.For(d, m)
		if err != nil {
			return usage(err) // a file that was read is valid, so the demand is not
		}
		if a.format == "json" {
			return json.NewEncoder(a.out).Encode(p)
		}
		showPlan(a.out, p)
		return nil
	}
	return cmd
}

// measured returns the figures of a file, or those of the data folder, or the built-in ones. Where an encoder is named they must be that one's.
func (a *app) measured(file string, named bool) (m capacity.Measured, err error) {
	if file == "" {
		m, err = capacity.Read(filepath.Join(a.config.Data, measuredFile))
		if errors.Is(err, fs.ErrNotExist) {
			m, err = capacity.BuiltIn(), nil
		}
	} else {
		m, err = capacity.Read(file)
	}
	if err != nil || !named {
		return m, err
	}
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err == nil && card.ID != m.EncoderID {
		err = fmt.Errorf("planning with the encoder %s: what was measured is %s: measure it with jobstrom bench tune --encoder %s --measured FILE and give --measured FILE", card.Name, m.Encoder, a.config.Encoder)
	}
	return m, err
}

// topicRetention returns how long jobstrom's topics keep what they hold.
func topicRetention() (r capacity.Retention) {
	kept := map[string]*time.Duration{kafka.Raw: &r.Raw, kafka.Extracted: &r.Extracted, kafka.Embedded("measured"): &r.Embedded, kafka.Classified: &r.Classified}
	for _, t := range kafka.Topics("measured") {
		if into := kept[t.Name]; into != nil {
			*into = t.Retention
		}
	}
	return r
}

func showPlan(out io.Writer, p capacity.Plan) {
	d, m := p.Demand, p.Measured
	fmt.Fprintf(out, "%s vacancies a day: %s a second on average, %s in the busiest hour, %s to catch up after %s in %s\n", rounded(d.PerDay), rounded(p.Mean), rounded(p.Busiest),
		rounded(p.Mean*(1+float64(d.Outage)/float64(d.CatchUp))), d.Outage, d.CatchUp)
	fmt.Fprintf(out, "reckoned from %d vacancies of %s, encoder %s, %s\n", m.Vacancies, bytesOf(m.VacancyBytes), m.Encoder, m.Machine)
	show := func(figures int, header table.Row, rows []table.Row) { // so many columns behind the first are figures, on the right
		fmt.Fprintln(out)
		t := newTable(out, header...)
		t.AppendRows(rows)
		var right []table.ColumnConfig
		for i := 2; i < 2+figures; i++ {
			right = append(right, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
		t.SetColumnConfigs(right)
		t.Render()
	}
	var rows []table.Row
	for _, s := range p.Stages {
		rows = append(rows, table.Row{s.Name, rounded(s.MS), rounded(s.Processors), s.Processes, bytesOf(s.MemoryBytes)})
	}
	show(4, table.Row{"stage", "ms a vacancy", "processors", fmt.Sprintf("processes of %d", d.Processors), "memory of one"}, rows)
	rows = nil
	for _, v := range p.Topics {
		rows = append(rows, table.Row{v.Name, bytesOf(v.Each), days(v.Keep), v.Copies, bytesOf(v.Bytes)})
	}
	show(4, table.Row{"topic", "a record", "days", "replicas", "disk"}, append(rows, table.Row{"Kafka", "", "", "", bytesOf(p.KafkaBytes)}))
	rows = nil
	for _, v := range p.Tables {
		rows = append(rows, table.Row{v.Name, bytesOf(v.Each), days(v.Keep), v.Copies, bytesOf(v.Bytes)})
	}
	show(4, table.Row{"table", "a row", "days", "replicas", "disk"}, append(rows, table.Row{"ClickHouse, with room to merge", "", "", "", bytesOf(p.ClickHouseBytes)}))
	fmt.Fprintf(out, "\npartitions: %d (--partitions; it never changes)\n", p.Partitions)
	if p.Flows > 1 {
		fmt.Fprintf(out, "flows: %d, each with topics, groups and such partitions of its own: a stage has more workers than a topic may have partitions\n", p.Flows)
	}
	fmt.Fprintf(out, "Kafka: %s/s in, %s/s out, replicas not counted\n", bytesOf(p.KafkaIn), bytesOf(p.KafkaOut))
	fmt.Fprintf(out, "ClickHouse: %s, %s processors, %s of memory for the index of similar vacancies\n", shards(p.Shards, d.Replicas), rounded(p.ClickHouseProcessors), bytesOf(p.SimilarMemory))
	rows = nil
	for _, l := range p.Limits {
		mark := ""
		if l.Share > 1 {
			mark = "passed"
		}
		rows = append(rows, table.Row{l.Name, rounded(l.PerDay), mark, l.Remedy})
	}
	show(1, table.Row{"what breaks first", "at a day", "", "what to do"}, rows)
}

func shards(n, replicas int) string {
	switch {
	case n == 1 && replicas == 1:
		return "one server"
	case n == 1:
		return fmt.Sprintf("%d servers, each with all rows", replicas)
	}
	return fmt.Sprintf("%d servers: %d shards of %d", n*replicas, n, replicas)
}

// rounded writes a number with three figures that count, or from a thousand on whole.
func rounded(x float64) string {
	if x >= 1000 {
		return humanize.Comma(int64(x))
	}
	return fmt.Sprintf("%.3g", x)
}

func bytesOf(x float64) string { return humanize.Bytes(uint64(x)) }

func days(d time.Duration) string { return fmt.Sprintf("%.3g", d.Hours()/24) }
