package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/schemas"
)

func (a *app) produceCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "produce FILE|FOLDER...",
		Short: "Publish vacancies: JSONL, CSV, Parquet, a folder of text, or JSONL from stdin (-)",
		Long: `Publish the vacancies of files to ` + kafka.Raw + `. Those with a category are labelled history: their label goes to ` + kafka.Labels + ` too.
A bad line is reported with file, line (of Parquet the row), column and reason, the rest is published, and the exit status is 3.

CSV (.csv, .tsv; with a header) and Parquet (.parquet) have a vacancy in each row. Its text, title, employer, source, category, published_at and id are
read from columns of these names, or from those that --columns names. Columns in --attributes are published with it, for drift to look at; no other
is. A row is refused whose attribute looks like personal data (a CPR number, an e-mail address, a phone number, a URL, an address, a person's
name) or is longer than 200 characters; a file is refused of whose first 1,000 rows at least 100 have the attribute and more than 95 % of these differ: that is an id or
free text. The flow keeps of the attributes those that its own setting attributes names.

A folder has a vacancy in each text file. The first line is its title, the rest its text; its date is the first in its path (2022/05/kok.txt,
2022/05/17/kok.txt, kok-2022-05-17.txt). --index names a CSV file with a column file and any of the columns above; a title there leaves the whole file to the text.

Dates are 2022-01-31, 31-01-2022 or 31.01.2022, with or without a time (UTC where no zone is named), or seconds, milliseconds, microseconds or nanoseconds since 1970.
Windows of drift go by published_at: where --columns names its column, a row without it is refused.`,
		Example: `  jobstrom produce samples/vacancies.jsonl
  jobstrom produce vacancies.csv --brokers kafka-1:9092
  jobstrom produce history.parquet --columns title=stillingsbetegnelse,text=annoncetekst,published_at=startdt,category=label \
    --attributes erhvervsgruppe_txt,erhvervsomraade_txt --category-map map.csv --dry-run
  jobstrom produce ads/ --index ads.csv --columns published_at=startdt --since 2022-01-01 --until 2023-01-01`,
		Args: args(cobra.MinimumNArgs(1)),
	}
	a.formatFlag(cmd)
	f.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		o, err := f.resolve(a, cmd.Flags())
		if err != nil {
			return err
		}
		i := &importing{app: a, flags: f, options: o, report: newImportReport(f.dryRun)}
		if !f.dryRun {
			client, err := a.dialToWrite(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			i.publisher = producers.NewPublisher(client, o.Taxonomy)
			tracing, stop, err := a.traces(cmd.Context(), "produce", nil)
			if err != nil {
				return err
			}
			defer stop()
			if tracing != nil {
				i.publisher.Tracer = tracing.Tracer("jobstrom/producers")
			}
		}
		return i.run(cmd.Context(), files)
	}
	return cmd
}

// importing is one run of produce.
type importing struct {
	app       *app
	flags     importFlags
	options   producers.ReadOptions
	publisher *producers.Publisher // nil: nothing is published
	progress  *phases
	report    *importReport
}

func (i *importing) run(ctx context.Context, files []string) error {
	start := time.Now()
	i.progress = i.app.phases()
	i.options.Mapped = i.report.columns
	i.options.Progress = func(file string, done, of int64) { i.progress.show("reading "+file, int(done), int(of)) }
	var unreadable error
	for _, name := range files {
		unreadable = i.app.readFile(name, i.options, func(line int, v *schemas.Vacancy) error {
			err := i.take(ctx, v)
			if err == nil || ctx.Err() != nil || i.publisher != nil && i.publisher.Err() != nil {
				return err
			}
			i.refuse(&producers.BadLine{File: name, Line: line, Err: err})
			return nil
		}, i.refuse)
		if unreadable != nil {
			break
		}
	}
	var err error
	if i.publisher != nil {
		i.report.Published, i.report.Labelled, err = i.publisher.Close(ctx)
	}
	i.progress.done()
	i.report.write(i.app, time.Since(start))
	switch {
	case err != nil:
		return err
	case unreadable != nil:
		return unreadable
	case len(i.report.Bad) > 0:
		return errPartial
	}
	return nil
}

func (i *importing) refuse(b *producers.BadLine) {
	i.report.Bad = append(i.report.Bad, b)
	i.progress.log("%v", b)
}

// take publishes a vacancy of the window. An error is the vacancy's own unless ctx has ended or the publisher has failed.
func (i *importing) take(ctx context.Context, v *schemas.Vacancy) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if i.options.Dated && !i.flags.inWindow(v.PublishedAt.AsTime()) {
		i.report.Outside++
		return nil
	}
	category := ""
	if v.Category != "" {
		found, err := i.options.Taxonomy.Find(v.Category)
		if err != nil {
			return err
		}
		category = found.Name
	}
	if i.publisher != nil {
		if err := i.publisher.Publish(ctx, v); err != nil {
			return err
		}
	}
	i.report.count(v, category)
	return nil
}
