package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jobstrom/producers"
	"jobstrom/schemas"
)

// importFlags are produce's own.
type importFlags struct {
	columns                          []string
	categoryMap, delimiter, encoding string
	pattern, index, since, until     string
	dryRun                           bool
	from, to                         time.Time
}

func (f *importFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.columns, "columns", nil, "`FIELD=COLUMN,...`: the columns of "+strings.Join(producers.Fields, ", "))
	flags.StringVar(&f.categoryMap, "category-map", "", "`file` of your own categories' names and Jobnet's: CSV with a header and two columns, or YAML of own: Jobnet's; an empty one is no label")
	flags.StringVar(&f.delimiter, "delimiter", "", "`character` between the columns of CSV, or tab (default the header's)")
	flags.StringVar(&f.encoding, "encoding", "utf-8", "`encoding` of CSV and text: utf-8, latin1, windows-1252 or utf-16")
	flags.StringVar(&f.pattern, "pattern", "*.txt", "`names` of a folder's files")
	flags.StringVar(&f.index, "index", "", "CSV `file` that says more about a folder's files, by its column file")
	flags.StringVar(&f.since, "since", "", "only vacancies published at this `time` or later: 2022-01-01 or 2022-01-01T12:00:00Z; dates are UTC")
	flags.StringVar(&f.until, "until", "", "only vacancies published before this `time`")
	flags.BoolVar(&f.dryRun, "dry-run", false, "read everything, publish nothing, and report what would be published: years, categories, columns, bad lines; needs no Kafka")
}

// resolve reads what the flags name and says which attributes a flow may drop.
func (f *importFlags) resolve(a *app, flags *pflag.FlagSet) (o producers.ReadOptions, err error) {
	usage := func(err error) error { return fmt.Errorf("%w (%w)", err, errUsage) }
	o = producers.ReadOptions{
		Columns: map[string]string{}, Attributes: a.config.Attributes, AttributesMayLack: !flags.Changed("attributes"),
		Taxonomy: schemas.Jobnet(), Encoding: f.encoding, Pattern: f.pattern, Index: f.index,
	}
	for _, pair := range f.columns {
		field, column, found := strings.Cut(pair, "=")
		field = strings.TrimSpace(field)
		if !found {
			return o, usage(fmt.Errorf("--columns %q: use FIELD=COLUMN", pair))
		}
		if _, twice := o.Columns[field]; twice {
			return o, usage(fmt.Errorf("--columns names %s twice", field))
		}
		o.Columns[field] = column
	}
	switch d := f.delimiter; {
	case d == "tab" || d == `\t`:
		o.Delimiter = '\t'
	case len(d) == 1:
		o.Delimiter = d[0]
	case d != "":
		return o, usage(fmt.Errorf("--delimiter is %q: use one ASCII character or tab", d))
	}
	now := time.Now()
	if f.from, err = parseTime("since", f.since, now); err != nil {
		return o, err
	}
	if f.to, err = parseTime("until", f.until, now); err != nil {
		return o, err
	}
	if !f.from.IsZero() && !f.to.IsZero() && !f.from.Before(f.to) {
		return o, usage(fmt.Errorf("--since (%s) must be before --until (%s)", f.since, f.until))
	}
	o.Dated = !f.from.IsZero() || !f.to.IsZero()
	if err := o.Validate(); err != nil {
		return o, usage(err)
	}
	if f.categoryMap != "" {
		if o.Categories, err = producers.ReadCategoryMap(f.categoryMap, o.Taxonomy); err != nil {
			return o, err
		}
	}
	if unsettled := unsettled(flags, o.Attributes); len(unsettled) > 0 {
		names := strings.Join(unsettled, ",")
		fmt.Fprintf(a.err, "note: a flow keeps the attributes %s only where its own settings name them: jobstrom up --attributes %s, or attributes: [%s] in %s\n", names, names, names, configFile)
	}
	return o, nil
}

func (f *importFlags) inWindow(t time.Time) bool {
	return !t.Before(f.from) && (f.to.IsZero() || t.Before(f.to))
}

// unsettled returns those of the attributes that only the command line names. The flow reads the same file and environment, when it runs here; how another is
// set nobody tells.
func unsettled(flags *pflag.FlagSet, attributes []string) (names []string) {
	if !flags.Changed("attributes") {
		return nil
	}
	others := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(others)
	var settled []string
	if path, _ := flags.GetString("config"); others.Set("config", path) == nil {
		if c, err := loadConfig(others); err == nil { // what it lacks, the command line had
			settled = c.Attributes
		}
	}
	for _, name := range attributes {
		if !slices.Contains(settled, name) {
			names = append(names, name)
		}
	}
	return names
}
