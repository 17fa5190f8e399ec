package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"jobstrom/drift"
)

// Text is meant for terminals of this many columns.
const (
	textWidth  = 96
	nameWidth  = 20
	valueWidth = 40
	idWidth    = 36
)

// Text writes what the page says in short, in lines of up to 96 characters. It writes nothing when the comparison is not valid.
func (o Options) Text(w io.Writer) error {
	if err := o.Validate(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	var out bytes.Buffer
	o.write(&out)
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func (o Options) write(out *bytes.Buffer) {
	c := o.Comparison
	s := summarise(c)
	sign, word := mark(c.Verdict)
	fmt.Fprintf(out, "Drift from %s to %s: %s %s\n\n", c.Reference, c.Current, sign, strings.ToUpper(word))
	wrap(out, "", s.Verdict)
	wrap(out, "", s.Advice)
	fmt.Fprintln(out)
	writeTable(out, "lrr", [][]string{
		{"", "reference", "current"},
		{"vacancies", fmt.Sprint(c.Vacancies[0]), fmt.Sprint(c.Vacancies[1])},
		{"bursts", fmt.Sprint(c.Blocks[0]), fmt.Sprint(c.Blocks[1])},
		{"missing values", percent(c.Summary.MissingShare[0]), percent(c.Summary.MissingShare[1])},
		{"published again", fmt.Sprint(c.Summary.Repeated[0]), fmt.Sprint(c.Summary.Repeated[1])},
		{"columns of one value", fmt.Sprint(len(c.Summary.Constant[0])), fmt.Sprint(len(c.Summary.Constant[1]))},
		{"columns without one", fmt.Sprint(len(c.Summary.Empty[0])), fmt.Sprint(len(c.Summary.Empty[1]))},
	})
	if len(c.Notes) > 0 {
		fmt.Fprintln(out, "\nNotes")
		for _, n := range c.Notes {
			wrap(out, "  - ", clean(n))
		}
	}
	if len(c.Columns) > 0 {
		fmt.Fprintf(out, "\nColumns: %s; %d of %d with drift\n", s.Kinds, s.Drifted, s.Judged)
		writeColumns(out, c)
	}
	if changes := largest(c.Columns, mostChanges); len(changes) > 0 {
		fmt.Fprintln(out, "\nLargest changes of categories, in percentage points")
		table := [][]string{{"column", "category", "from", "to", "points", "residual"}}
		for _, d := range changes {
			table = append(table, []string{cut(d.Column, nameWidth), cut(d.Value, valueWidth-len(d.Remark())) + remark(d), percent(d.Reference), percent(d.Current), points(d.Difference()), signed(d.Residual)})
		}
		writeTable(out, "llrrrr", table)
	}
	if all := means(c.Columns); len(all) > 0 {
		fmt.Fprintln(out, "\nLargest changes of means, the shift in standard deviations")
		table := [][]string{{"column", "from", "to", "shift"}}
		for _, m := range all[:min(mostMeans, len(all))] {
			table = append(table, []string{cut(m.Column, nameWidth), number(m.Reference), number(m.Current), shift(m.Shift)})
		}
		writeTable(out, "lrrr", table)
	}
	writeShift(out, c)
	if all := qualities(c); len(all) > 0 {
		fmt.Fprintln(out, "\nPredictions, with the interval that holds the figure 19 times in 20")
		table := [][]string{{"", "reference", "current"}}
		for _, q := range all {
			table = append(table, []string{q.Name, q.Reference, q.Current})
		}
		writeTable(out, "lrr", table)
	}
	if all := models(c); len(all) > 0 {
		fmt.Fprintln(out, "\nModels, by vacancies that they classified")
		table := [][]string{{"model", "reference", "current"}}
		for _, m := range all {
			table = append(table, []string{m.Name, fmt.Sprint(m.Reference), fmt.Sprint(m.Current)})
		}
		writeTable(out, "lrr", table)
	}
	fmt.Fprintf(out, "\nPreset %s", clean(c.Preset))
	if c.Encoder != "" {
		fmt.Fprintf(out, ", encoder %s", cut(shown(c.Encoder), 12))
	}
	if o.Version != "" {
		fmt.Fprintf(out, ", jobstrom %s", clean(o.Version))
	}
	if !o.Made.IsZero() {
		fmt.Fprintf(out, ", %s", o.Made.UTC().Format("2006-01-02 15:04 MST"))
	}
	fmt.Fprintln(out)
}

// writeShift writes how far the embeddings moved, and what shows it.
func writeShift(out *bytes.Buffer, c *drift.Comparison) {
	for _, column := range c.Columns {
		if column.Kind != drift.Embedding || len(column.Statistics) == 0 {
			continue
		}
		fmt.Fprintln(out, "\nEmbeddings, beside the verdict")
		var table [][]string
		for _, s := range statistics(column) {
			table = append(table, []string{s.Name, s.Value})
		}
		writeTable(out, "lr", table)
	}
	along, against := examples(c, true), examples(c, false)
	if len(along)+len(against) > 0 {
		fmt.Fprintln(out, "\nCurrent vacancies farthest along the shift of the embeddings (new) and against it (old)")
		table := [][]string{{"", "vacancy", "published", "category", "conf.", "projection"}}
		for i, e := range append(along, against...) {
			side := "new"
			if i >= len(along) {
				side = "old"
			}
			table = append(table, []string{side, cut(e.Vacancy, idWidth), e.Published, cut(e.Category, nameWidth), e.Confidence, e.Projection})
		}
		writeTable(out, "llllrr", table)
	}
	if all := farthest(c, mostMoved/2); len(all) > 0 {
		fmt.Fprintln(out, "\nCategories whose embeddings moved farthest; of few vacancies they do by chance alone")
		table := [][]string{{"category", "n", "m", "Euclidean", "cosine"}}
		for _, m := range all {
			table = append(table, []string{cut(m.Category, valueWidth), fmt.Sprint(m.Reference), fmt.Sprint(m.Current), m.Euclidean, m.Cosine})
		}
		writeTable(out, "lrrrr", table)
	}
}

func remark(c change) string {
	if r := c.Remark(); r != "" {
		return " (" + r + ")"
	}
	return ""
}

// writeColumns writes a line a column, and below it why there is no verdict.
func writeColumns(out *bytes.Buffer, c *drift.Comparison) {
	table := [][]string{{"  verdict", "column", "effect", "gate", "p", "q", "n", "m", "missing"}}
	reasons, without := []string{}, map[string][]string{} // one reason is often that of many columns
	for _, column := range sorted(c.Columns) {
		sign, word := mark(column.Verdict)
		cells := cellsOf(column, c.Preset)
		table = append(table, []string{
			sign + " " + word, cut(shown(column.Name), nameWidth), cells.Effect, cells.Gate, cells.P, cells.Q,
			fmt.Sprint(column.Result.Reference.Rows), fmt.Sprint(column.Result.Current.Rows), fmt.Sprintf("%d/%d", column.Missing[0], column.Missing[1]),
		})
		if column.Reason != "" {
			if without[column.Reason] == nil {
				reasons = append(reasons, column.Reason)
			}
			without[column.Reason] = append(without[column.Reason], cut(shown(column.Name), nameWidth))
		}
	}
	writeTable(out, "llrrrrrrr", table)
	for _, r := range reasons {
		wrap(out, "  ? ", strings.Join(without[r], ", ")+": "+clean(r))
	}
}

// writeTable writes rows in columns as wide as what is in them; align has l or r for each.
func writeTable(out *bytes.Buffer, align string, rows [][]string) {
	widths := make([]int, len(align))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if align[i] == 'l' {
				line += "  " + cell + space
			} else {
				line += "  " + space + cell
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
}

// wrap writes a paragraph in lines of textWidth, the first after a mark and the others below it.
func wrap(out *bytes.Buffer, mark, text string) {
	line := mark
	for i, word := range strings.Fields(text) {
		if i > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth {
			fmt.Fprintln(out, line)
			line = strings.Repeat(" ", len(mark)) + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(out, line)
}
