package trainer

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Part is one of the three parts of a history.
type Part string

// Parts of a history.
const (
	TrainPart      Part = "train"
	ValidationPart Part = "validation"
	HeldOutPart    Part = "test"
)

var allParts = []Part{TrainPart, ValidationPart, HeldOutPart}

// Parts says in which part of a history each vacancy was, by its id. Written to a file it repeats a training exactly, however much history there is by then.
type Parts map[string]Part

// partsHeader is the first line of a file of parts.
var partsHeader = []string{"vacancy_id", "part"}

// Write writes the parts as CSV with a header, compressed with gzip, ordered by id.
func (p Parts) Write(w io.Writer) error {
	packed := gzip.NewWriter(w)
	lines := csv.NewWriter(packed)
	lines.Write(partsHeader) // errors stay until Flush
	ids := make([]string, 0, len(p))
	for id := range p {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		lines.Write([]string{id, string(p[id])})
	}
	lines.Flush()
	if err := errors.Join(lines.Error(), packed.Close()); err != nil {
		return fmt.Errorf("writing the split: %w", err)
	}
	return nil
}

// ReadParts reads what Write wrote.
func ReadParts(r io.Reader) (Parts, error) {
	packed, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("reading the split: %w: want a file that a training wrote, CSV in gzip", err)
	}
	lines := csv.NewReader(packed)
	lines.FieldsPerRecord, lines.ReuseRecord = 2, true
	p := Parts{}
	for n := 1; ; n++ {
		line, err := lines.Read()
		switch {
		case err == io.EOF && n > 1:
			return p, nil
		case err != nil:
			return nil, fmt.Errorf("reading the split: %w", err)
		case n == 1 && !slices.Equal(line, partsHeader):
			return nil, fmt.Errorf("reading the split: line 1 is %.80q, want the header %q", line, partsHeader)
		case n == 1:
			continue
		case !slices.Contains(allParts, Part(line[1])):
			return nil, fmt.Errorf("reading the split: line %d: part %.40q must be one of %q", n, line[1], allParts)
		}
		if _, twice := p[line[0]]; twice {
			return nil, fmt.Errorf("reading the split: line %d: vacancy %.80q is there twice", n, line[0])
		}
		p[line[0]] = Part(line[1])
	}
}

// split returns the positions of the vacancies in the parts.
func (p Parts) split(ids []string) Split {
	var s Split
	to := map[Part]*[]int{TrainPart: &s.Train, ValidationPart: &s.Validation, HeldOutPart: &s.Test}
	for i, id := range ids {
		*to[p[id]] = append(*to[p[id]], i)
	}
	return s
}

// partsOf is the reverse of split.
func partsOf(s Split, ids []string) Parts {
	p := make(Parts, len(ids))
	for part, positions := range map[Part][]int{TrainPart: s.Train, ValidationPart: s.Validation, HeldOutPart: s.Test} {
		for _, i := range positions {
			p[ids[i]] = part
		}
	}
	return p
}
