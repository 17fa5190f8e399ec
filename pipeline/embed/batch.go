package embed

import "slices"

// row is one tokenised text on its way through the encoder.
type row struct {
	index     int // among the texts of the call
	ids       []uint32
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

// pad lays the rows of a sub-batch side by side: ids and mask, [rows, longest].
func pad(rows []row, padID int64) (ids, mask []int64, longest int) {
	longest = len(rows[0].ids)
	ids, mask = make([]int64, len(rows)*longest), make([]int64, len(rows)*longest)
	for r, row := range rows {
		for i := range longest {
			at := r*longest + i
			if i < len(row.ids) {
				ids[at], mask[at] = int64(row.ids[i]), 1
			} else {
				ids[at] = padID
			}
		}
	}
	return ids, mask, longest
}
