package drift

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"

	"jobstrom/warehouse"
)

// row is one vacancy of a window as the query gives it. Vacancy and employer are hashes; employer is 0 where it is not known.
type row struct {
	Vacancy     uint64            `ch:"vacancy"`
	Employer    uint64            `ch:"employer"`
	Day         uint32            `ch:"day"` // since 1970
	Source      string            `ch:"source"`
	Language    string            `ch:"language"`
	TextLength  uint32            `ch:"text_length"`
	Tokens      uint32            `ch:"tokens"`
	Truncated   bool              `ch:"truncated"`
	Attributes  map[string]string `ch:"attributes"`
	Model       string            `ch:"model"` // empty: not classified
	Index       uint16            `ch:"category_index"`
	Category    string            `ch:"category"`
	Chances     []float32         `ch:"probabilities"`
	Confidence  float32           `ch:"confidence"`
	Occupations uint64            `ch:"occupations"`
	Skills      uint64            `ch:"skills"`
	Tasks       uint64            `ch:"tasks"`
	Label       string            `ch:"label"` // empty: none
}

// rowsQuery gives a window's vacancies, each with what the newest classification of it says and with its label. It takes the views of embeddings and of predictions.
const rowsQuery = `
SELECT cityHash64(e.vacancy_id) AS vacancy, if(e.employer_hash = '', 0, cityHash64(e.employer_hash)) AS employer, toUInt32(toDate(e.published_at)) AS day,
    e.source AS source, e.language AS language, e.text_length AS text_length, e.tokens AS tokens, e.truncated AS truncated, e.attributes AS attributes,
    p.model AS model, p.category_index AS category_index, p.category AS category, p.probabilities AS probabilities, p.confidence AS confidence, p.occupations AS occupations, p.skills AS skills, p.tasks AS tasks,
    l.category AS label
FROM
(
    SELECT raw_topic_id, raw_partition, raw_offset, vacancy_id, employer_hash, published_at, source, language, text_length, tokens, truncated, attributes
    FROM %s
    WHERE published_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND published_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND encoder = {encoder:String}
) AS e
LEFT JOIN
(
    SELECT raw_topic_id, raw_partition, raw_offset, model, category_index, category, probabilities, confidence, length(occupations) AS occupations, length(skills) AS skills, length(tasks) AS tasks
    FROM %s
    WHERE published_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND published_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
        AND encoder = {encoder:String} AND ({model:String} = '' OR model = {model:String})
    ORDER BY classified_at DESC, model
    LIMIT 1 BY raw_topic_id, raw_partition, raw_offset
) AS p ON p.raw_topic_id = e.raw_topic_id AND p.raw_partition = e.raw_partition AND p.raw_offset = e.raw_offset
LEFT JOIN
(
    SELECT vacancy_id, category FROM labels
) AS l ON l.vacancy_id = e.vacancy_id`

// parameters are those that rowsQuery and blocksQuery share.
func (w Window) parameters(encoder string) clickhouse.Parameters {
	return clickhouse.Parameters{"from": fmt.Sprint(w.From.UnixMilli()), "to": fmt.Sprint(w.To.UnixMilli()), "encoder": encoder}
}

// readRows calls f with every vacancy of a window.
func readRows(ctx context.Context, w *warehouse.Warehouse, window Window, o Options, f func(*row)) error {
	parameters := window.parameters(o.Encoder)
	parameters["model"] = o.Model
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(parameters), clickhouse.WithSettings(clickhouse.Settings{"join_use_nulls": 0}))
	rows, err := w.Conn().Query(ctx, fmt.Sprintf(rowsQuery, o.Origin.View("embeddings"), o.Origin.View("predictions")))
	if err != nil {
		return fmt.Errorf("reading the vacancies of %s: %w", window, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.ScanStruct(&r); err != nil {
			return fmt.Errorf("reading the vacancies of %s: %w", window, err)
		}
		f(&r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the vacancies of %s: %w", window, err)
	}
	return nil
}

// frame holds a window column by column; entry i of each is of the same vacancy.
type frame struct {
	rows     int
	vacancy  []uint64
	employer []uint64
	day      []uint32
	// words are the categorical columns, as numbers of their dictionary; -1 where a vacancy has none.
	words map[string][]int32
	// numbers are the numeric ones; NaN where a vacancy has none.
	numbers map[string][]float64
	models  map[string]int
	// predictions of those vacancies that have one.
	predictions predictions
}

// predictions are n vacancies' probabilities, the category predicted, which vacancy of the frame each is, and whether its label is the same (nil
// without a label).
type predictions struct {
	probabilities [][]float32
	predicted     []int
	of            []int
	right         []*bool
}

// dictionary numbers the values of a categorical column, in both windows alike.
type dictionary struct {
	numbers map[string]int32
	names   []string
}

func (d *dictionary) number(name string) int32 {
	n, known := d.numbers[name]
	if !known {
		n = int32(len(d.names))
		d.numbers[name], d.names = n, append(d.names, name)
	}
	return n
}

// frames are both windows and the dictionaries they share.
type frames struct {
	reference, current frame
	dictionaries       map[string]*dictionary
}

// readFrames reads both windows.
func readFrames(ctx context.Context, w *warehouse.Warehouse, o Options) (*frames, error) {
	fs := &frames{dictionaries: map[string]*dictionary{}}
	for _, one := range []struct {
		window Window
		frame  *frame
	}{{o.Reference, &fs.reference}, {o.Current, &fs.current}} {
		*one.frame = frame{words: map[string][]int32{}, numbers: map[string][]float64{}, models: map[string]int{}}
		if err := readRows(ctx, w, one.window, o, func(r *row) { fs.add(one.frame, r) }); err != nil {
			return nil, err
		}
	}
	return fs, nil
}

func (fs *frames) add(f *frame, r *row) {
	f.vacancy, f.employer, f.day = append(f.vacancy, r.Vacancy), append(f.employer, r.Employer), append(f.day, r.Day)
	fs.word(f, "source", r.Source)
	fs.word(f, "language", r.Language)
	fs.word(f, "truncated", fmt.Sprint(r.Truncated))
	for name, value := range r.Attributes {
		fs.word(f, "attribute."+name, value)
	}
	f.number("text_length", float64(r.TextLength))
	f.number("tokens", float64(r.Tokens))
	if r.Model != "" {
		f.models[r.Model]++
		p := &f.predictions
		p.probabilities, p.predicted, p.of = append(p.probabilities, r.Chances), append(p.predicted, int(r.Index)), append(p.of, f.rows)
		var right *bool
		if r.Label != "" {
			right = new(bool)
			*right = r.Label == r.Category
		}
		p.right = append(p.right, right)
		fs.word(f, "category", r.Category)
		f.number("confidence", float64(r.Confidence))
		f.number("occupations", float64(r.Occupations))
		f.number("skills", float64(r.Skills))
		f.number("tasks", float64(r.Tasks))
	}
	if r.Label != "" {
		fs.word(f, "label", r.Label)
	}
	f.rows++
}

// word sets a value of the vacancy that is being added. Those before it that had none get none.
func (fs *frames) word(f *frame, column, value string) {
	d, known := fs.dictionaries[column]
	if !known {
		d = &dictionary{numbers: map[string]int32{}}
		fs.dictionaries[column] = d
	}
	values := f.words[column]
	for len(values) < f.rows {
		values = append(values, -1)
	}
	f.words[column] = append(values, d.number(value))
}

func (f *frame) number(column string, value float64) {
	values := f.numbers[column]
	for len(values) < f.rows {
		values = append(values, math.NaN())
	}
	f.numbers[column] = append(values, value)
}

// blocks returns the rows of each block: what one employer published on one day, where a vacancy that is published again belongs to the day on
// which it was published first; and of unknown employers what is one vacancy.
func (f *frame) blocks() [][]int {
	first := make(map[uint64]uint32, f.rows)
	for i, v := range f.vacancy {
		if day, known := first[v]; !known || f.day[i] < day {
			first[v] = f.day[i]
		}
	}
	type key struct {
		of  uint64
		day uint32 // 0 for a vacancy
	}
	rows := map[key][]int{}
	for i := range f.rows {
		k := key{f.employer[i], first[f.vacancy[i]] + 1}
		if k.of == 0 {
			k = key{f.vacancy[i], 0}
		}
		rows[k] = append(rows[k], i)
	}
	blocks := slices.Collect(maps.Values(rows))
	slices.SortFunc(blocks, func(a, b []int) int { return cmp.Compare(a[0], b[0]) }) // maps have no order, results must
	return blocks
}
