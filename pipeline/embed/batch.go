package embed

import (
	"slices"

	"jobstrom/models"
)

// row is one tokenised text on its way through the encoder.
type row struct {
	index     int // among the texts of the call
	ids       []uint32
	types     []uint32 // nil where the graph takes none
	truncated bool
}

// subBatches groups rows of similar length, longest first: each group has at most maxRows rows, and its
// rows × its longest row are at most maxTokens, unless it is one row. Little padding is left that way, and
// the longest work is not the last.
func subBatches(rows []row, maxTokens, maxRows int) [][]row {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b row) int { return len(b.ids) - len(a.ids) })
	var batches [][]row
	for len(rows) > 0 {
		n := min(max(maxTokens/len(rows[0].ids), 1), maxRows, len(rows))
		batches = append(batches, rows[:n])
		rows = rows[n:]
	}
	return batches
}

// padded is a sub-batch side by side, each field [rows, longest].
type padded struct {
	ids, mask []int64
	// types are the token types and positions the places in a row, both nil where the graph takes none.
	types, positions []int64
	longest          int
}

// pad lays the rows of a sub-batch side by side as the card says.
func pad(rows []row, card *models.EncoderCard) padded {
	p := padded{longest: len(rows[0].ids)}
	n := len(rows) * p.longest
	p.ids, p.mask = make([]int64, n), make([]int64, n)
	for r, row := range rows {
		at := r * p.longest
		from := start(row, p.longest, card.PadLeft)
		for i := range p.longest {
			if i < from || i >= from+len(row.ids) {
				p.ids[at+i] = card.PadID
			} else {
				p.ids[at+i], p.mask[at+i] = int64(row.ids[i-from]), 1
			}
		}
	}
	if card.TokenTypes {
		p.types = make([]int64, n)
		for r, row := range rows {
			at := r*p.longest + start(row, p.longest, card.PadLeft)
			for i, t := range row.types {
				p.types[at+i] = int64(t)
			}
		}
	}
	if card.FirstPosition != nil {
		// Where there is padding the mask hides what the graph computes, so that any position that exists does.
		p.positions = make([]int64, n)
		for r, row := range rows {
			at := r*p.longest + start(row, p.longest, card.PadLeft)
			for i := range row.ids {
				p.positions[at+i] = *card.FirstPosition + int64(i)
			}
		}
	}
	return p
}

// start returns where a row's tokens begin among the places of its sub-batch.
func start(r row, longest int, padLeft bool) int {
	if padLeft {
		return longest - len(r.ids)
	}
	return 0
}
