package embed

import (
	"slices"

	"jobstrom/models"
)

// row is one tokenised text on its way through the encoder.
type row struct {
	call      *call
	index     int // among the texts of the call
	ids       []uint32
	types     []uint32 // nil where the graph takes none
	truncated bool
}

// padded is a sub-batch side by side, each field [rows, longest]. A worker fills the same one again and again.
type padded struct {
	ids, mask []int64
	// types are the token types and positions the places in a row, both nil where the graph takes none.
	types, positions []int64
	longest          int
}

// fill lays the rows of a sub-batch, the longest first, side by side as the card says.
func (p *padded) fill(rows []row, card *models.EncoderCard) {
	p.longest = len(rows[0].ids)
	n := len(rows) * p.longest
	p.ids, p.mask = sized(p.ids, n), sized(p.mask, n)
	if card.TokenTypes {
		p.types = sized(p.types, n)
	}
	if card.FirstPosition != nil {
		// Where there is padding the mask hides what the graph computes, so that any position that exists does.
		p.positions = sized(p.positions, n)
	}
	for i := range p.ids {
		p.ids[i] = card.PadID
	}
	for r, row := range rows {
		at := r*p.longest + start(row, p.longest, card.PadLeft)
		for i, id := range row.ids {
			p.ids[at+i], p.mask[at+i] = int64(id), 1
		}
		for i, t := range row.types {
			p.types[at+i] = int64(t)
		}
		if card.FirstPosition != nil {
			for i := range row.ids {
				p.positions[at+i] = *card.FirstPosition + int64(i)
			}
		}
	}
}

// sized returns n zeros, in the memory of s where that is enough.
func sized(s []int64, n int) []int64 {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

// start returns where a row's tokens begin among the places of its sub-batch.
func start(r row, longest int, padLeft bool) int {
	if padLeft {
		return longest - len(r.ids)
	}
	return 0
}
