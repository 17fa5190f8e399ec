package trainer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Row is one labelled vacancy of the history.
type Row struct {
	Vector   []float32
	Category int
	// Group keeps vacancies together, for example the keyed hash of the employer; may be empty.
	Group string
	// ID, Source and ReceivedAt say which vacancy it is, where it comes from and when it came; may be empty.
	ID, Source string
	ReceivedAt time.Time
}

// History streams labelled vacancies. It ends after its first error.
type History = iter.Seq2[Row, error]

// collected is a history that was read once.
type collected struct {
	Examples
	ids, sources []string
	times        []time.Time
	vectors      *vectors
	// leftOut and gone are those of Result.
	leftOut, gone int
}

// collect reads the history, the part of it that the split to repeat names. Vectors beyond the budget lie in a file until they are closed.
func collect(ctx context.Context, history History, o RunOptions) (_ *collected, err error) {
	h := &collected{vectors: &vectors{limit: o.Memory / 2, dir: o.Dir}}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.vectors.close())
		}
	}()
	sources := map[string]string{} // few, and one of each is enough in memory
	n := 0
	for row, err := range history {
		n++
		if err == nil {
			err = ctx.Err()
		}
		if _, wanted := o.Repeat[row.ID]; err == nil && o.Repeat != nil && !wanted {
			h.leftOut++
			continue
		}
		if err == nil {
			err = h.vectors.add(row.Vector)
		}
		if err != nil {
			return nil, fmt.Errorf("reading row %d of the history: %w", n, err)
		}
		source, known := sources[row.Source]
		if !known {
			source = strings.Clone(row.Source)
			sources[source] = source
		}
		h.Categories, h.Groups = append(h.Categories, row.Category), append(h.Groups, strings.TrimSpace(row.Group))
		h.ids, h.sources, h.times = append(h.ids, row.ID), append(h.sources, source), append(h.times, row.ReceivedAt)
		o.Progress("reading history", n, o.Rows)
	}
	if o.Repeat != nil {
		h.gone = len(o.Repeat) - len(h.ids)
	}
	h.Vectors, err = h.vectors.all()
	return h, err
}
