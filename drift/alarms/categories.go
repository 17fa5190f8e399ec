package alarms

import (
	"cmp"
	"fmt"
	"slices"
)

// mostCategories bounds what a column may hold to be categorical.
const mostCategories = 1 << 20

// Count is how many rows of a block are of a category.
type Count struct{ Category, Rows int }

// Categories is a window of a categorical column. Categories are numbered from 0 on, in both windows alike. The zero value is empty.
type Categories struct {
	// counts are the rows of each category, singles those of them that are blocks of one row.
	counts, singles []int
	blocks          bursts
	size            Size
}

// bursts are blocks of two or more rows: block b has cells[start[b]:start[b+1]].
type bursts struct {
	start []int
	cells []Count
	rows  []int
}

func (b *bursts) len() int { return len(b.rows) }

func (b *bursts) of(i int) []Count {
	end := len(b.cells)
	if i+1 < len(b.start) {
		end = b.start[i+1]
	}
	return b.cells[b.start[i]:end]
}

func (b *bursts) add(rows int, cells ...Count) {
	b.start, b.cells, b.rows = append(b.start, len(b.cells)), append(b.cells, cells...), append(b.rows, rows)
}

// Size returns how much the window holds.
func (c *Categories) Size() Size { return c.size }

// Counts returns the rows of each category.
func (c *Categories) Counts() []int { return slices.Clone(c.counts) }

// AddRows adds rows that are independent of each other.
func (c *Categories) AddRows(category, rows int) error {
	if err := check(category, rows); err != nil {
		return err
	}
	c.grow(category)
	c.counts[category] += rows
	c.singles[category] += rows
	c.size.Rows += rows
	c.size.Blocks += rows
	return nil
}

// AddBlock adds rows that came in one burst. A block without rows is none.
func (c *Categories) AddBlock(counts ...Count) error {
	rows := 0
	for _, n := range counts {
		if err := check(n.Category, n.Rows); err != nil {
			return err
		}
		rows += n.Rows
	}
	cells := slices.DeleteFunc(slices.Clone(counts), func(n Count) bool { return n.Rows == 0 })
	if rows == 0 {
		return nil
	}
	if rows == 1 {
		return c.AddRows(cells[0].Category, 1)
	}
	slices.SortFunc(cells, func(a, b Count) int { return cmp.Compare(a.Category, b.Category) })
	merged := cells[:1]
	for _, n := range cells[1:] {
		if last := &merged[len(merged)-1]; last.Category == n.Category {
			last.Rows += n.Rows
		} else {
			merged = append(merged, n)
		}
	}
	c.grow(merged[len(merged)-1].Category)
	for _, n := range merged {
		c.counts[n.Category] += n.Rows
	}
	c.blocks.add(rows, merged...)
	c.size.Rows += rows
	c.size.Blocks++
	return nil
}

func (c *Categories) grow(category int) {
	if more := category + 1 - len(c.counts); more > 0 {
		c.counts, c.singles = append(c.counts, make([]int, more)...), append(c.singles, make([]int, more)...)
	}
}

func check(category, rows int) error {
	if category < 0 || category >= mostCategories {
		return fmt.Errorf("adding rows to a window: category (%d) must be 0 to %d", category, mostCategories-1)
	}
	if rows < 0 {
		return fmt.Errorf("adding rows of category %d to a window: their number (%d) must not be below 0", category, rows)
	}
	return nil
}
