package drift

import (
	"math"

	"jobstrom/drift/stats"
)

// Summary describes both windows as a whole: what Evidently's DatasetStats shows of them.
type Summary struct {
	// Rows are the vacancies of each window, Repeated those of them whose vacancy the window holds already.
	Rows     [2]int `json:"rows"`
	Repeated [2]int `json:"repeated"`
	// Columns counts those of each kind.
	Columns map[Kind]int `json:"columns"`
	// Missing values of all columns but the embedding, which no vacancy of a window lacks, and what share of all values they are.
	Missing      [2]int     `json:"missing"`
	MissingShare [2]float64 `json:"missing_share"`
	// Constant names the columns of a window that hold one value, Empty those that hold none.
	Constant [2][]string `json:"constant"`
	Empty    [2][]string `json:"empty"`
}

// ColumnSummary describes a column's values in one window: what Evidently's ValueStats shows of them.
type ColumnSummary struct {
	// Rows have a value, Missing have none.
	Rows     int `json:"rows"`
	Missing  int `json:"missing"`
	Distinct int `json:"distinct"`
	// Of a numeric column with a value, else nil.
	*NumberSummary
	// Of a categorical column with a value, else nil.
	*CategorySummary
}

// NumberSummary describes numbers. Quartiles between two numbers are interpolated, as pandas and numpy do.
type NumberSummary struct {
	Mean float64 `json:"mean"`
	// Std is the standard deviation of n−1, nil of a single number.
	Std    *float64 `json:"std,omitempty"`
	Min    float64  `json:"min"`
	Q25    float64  `json:"q25"`
	Median float64  `json:"median"`
	Q75    float64  `json:"q75"`
	Max    float64  `json:"max"`
}

// CategorySummary names the most common category, of equally common ones the first in order, and its rows and share of those with a value.
type CategorySummary struct {
	MostCommon      string  `json:"most_common"`
	MostCommonRows  int     `json:"most_common_rows"`
	MostCommonShare float64 `json:"most_common_share"`
}

// summariseNumbers describes the numbers of a window, which hold no infinity.
func summariseNumbers(s stats.Sample, missing int) *ColumnSummary {
	values, counts := s.Values()
	n := s.Rows()
	c := &ColumnSummary{Rows: int(n), Missing: missing, Distinct: len(values)}
	if n == 0 {
		return c
	}
	numbers := &NumberSummary{Min: values[0], Max: values[len(values)-1], Q25: quantile(s, .25), Median: quantile(s, .5), Q75: quantile(s, .75)}
	var squares float64
	for i, v := range values {
		numbers.Mean += v * (counts[i] / n)
	}
	for i, v := range values {
		squares += counts[i] * (v - numbers.Mean) * (v - numbers.Mean)
	}
	if std := math.Sqrt(squares / (n - 1)); n > 1 {
		numbers.Std = &std
	}
	c.NumberSummary = numbers
	return c
}

// quantile interpolates between the two numbers around the place share·(n−1), counted from 0 (numpy.quantile's method "linear").
func quantile(s stats.Sample, share float64) float64 {
	values, counts := s.Values()
	place := share * (s.Rows() - 1)
	below := math.Floor(place)
	at := func(i float64) float64 {
		for k, n := range counts {
			if i < n {
				return values[k]
			}
			i -= n
		}
		return values[len(values)-1]
	}
	low := at(below)
	return low + (place-below)*(at(below+1)-low)
}

// summariseCategories describes the categories of a window by their counts.
func summariseCategories(names []string, counts []int, missing int) *ColumnSummary {
	c, most := &ColumnSummary{Missing: missing}, 0
	for i, n := range counts {
		c.Rows += n
		if n > 0 {
			c.Distinct++
		}
		if n > counts[most] {
			most = i
		}
	}
	if c.Rows > 0 {
		c.CategorySummary = &CategorySummary{MostCommon: names[most], MostCommonRows: counts[most], MostCommonShare: float64(counts[most]) / float64(c.Rows)}
	}
	return c
}

// summarise describes the windows by their columns, which have been compared.
func (fs *frames) summarise(columns []Column) Summary {
	s := Summary{Columns: map[Kind]int{}, Constant: [2][]string{{}, {}}, Empty: [2][]string{{}, {}}}
	for _, c := range columns {
		s.Columns[c.Kind]++
	}
	for side, f := range []*frame{&fs.reference, &fs.current} {
		seen := make(map[uint64]bool, f.rows)
		for _, v := range f.vacancy {
			seen[v] = true
		}
		s.Rows[side], s.Repeated[side] = f.rows, f.rows-len(seen)
		values := 0
		for _, c := range columns {
			of := c.Summary[side]
			if of == nil {
				continue
			}
			values += f.rows
			s.Missing[side] += of.Missing
			switch of.Distinct {
			case 0:
				s.Empty[side] = append(s.Empty[side], c.Name)
			case 1:
				s.Constant[side] = append(s.Constant[side], c.Name)
			}
		}
		s.MissingShare[side] = float64(s.Missing[side]) / float64(max(values, 1))
	}
	return s
}
