package alarms

import "math"

// mostNumber is the largest number that counts: the square of a sum of larger ones is infinite.
const mostNumber = 1e150

// Numbers is a window of a numeric column. The zero value is empty.
type Numbers struct {
	values []float64
	blocks []int // how many of the values each block has
	size   Size
}

// Size returns how much the window holds.
func (n *Numbers) Size() Size { return n.size }

// AddRows adds rows that are independent of each other. NaN, infinite and values beyond ±1e150 count as missing.
func (n *Numbers) AddRows(values ...float64) {
	for i := range values {
		n.AddBlock(values[i])
	}
}

// AddBlock adds rows that came in one burst, as AddRows does.
func (n *Numbers) AddBlock(values ...float64) {
	rows := 0
	for _, v := range values {
		if !(math.Abs(v) <= mostNumber) {
			n.size.Missing++
			continue
		}
		n.values = append(n.values, v)
		rows++
	}
	if rows > 0 {
		n.blocks = append(n.blocks, rows)
		n.size.Rows += rows
		n.size.Blocks++
	}
}
