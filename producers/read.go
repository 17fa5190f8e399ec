package producers

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"jobstrom/schemas"
)

// Format is how a file holds vacancies.
type Format string

// Formats of files.
const (
	JSONL Format = "jsonl" // one JSON object a line
	CSV   Format = "csv"   // with a header that names at least text
)

// FormatOf guesses a format from a file name; everything but .csv is JSONL.
func FormatOf(name string) Format {
	if strings.HasSuffix(strings.ToLower(name), ".csv") {
		return CSV
	}
	return JSONL
}

// maxLine bounds one line: a text at its limit, escaped.
const maxLine = 8 << 20

// ErrNoVacancies is wrapped by Read for a file without a single line.
var ErrNoVacancies = errors.New("no vacancies")

// BadLine is a line that is no vacancy.
type BadLine struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Err  error  `json:"-"`
}

// Error says where and why.
func (b *BadLine) Error() string { return fmt.Sprintf("%s:%d: %v", b.File, b.Line, b.Err) }

// Unwrap returns the reason.
func (b *BadLine) Unwrap() error { return b.Err }

// Read calls f for each vacancy of a file, and bad for each line that is none. It stops at the first error of f. A file that cannot be read at all,
// an empty one, or a CSV without a text column is an error.
func Read(in io.Reader, name string, format Format, f func(line int, v *schemas.Vacancy) error, bad func(*BadLine)) error {
	lines := 0
	each := func(line int, v *schemas.Vacancy, err error) error {
		lines++
		if err == nil {
			err = v.Normalize()
		}
		if err != nil {
			bad(&BadLine{name, line, err})
			return nil
		}
		return f(line, v)
	}
	read := readJSONL
	if format == CSV {
		read = readCSV
	}
	if err := read(in, each); err != nil {
		return fmt.Errorf("reading vacancies from %s: %w", name, err)
	}
	if lines == 0 {
		return fmt.Errorf("reading vacancies from %s: %w: the file is empty", name, ErrNoVacancies)
	}
	return nil
}

func readJSONL(in io.Reader, f func(int, *schemas.Vacancy, error) error) error {
	reader := bufio.NewReaderSize(in, 1<<16)
	for line := 1; ; line++ {
		value, tooLong, err := readLine(reader)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		done := errors.Is(err, io.EOF)
		value = bytes.TrimSpace(bytes.TrimPrefix(value, []byte("\ufeff")))
		switch {
		case tooLong:
			err = f(line, nil, fmt.Errorf("%w vacancy: the line has more than %d bytes", schemas.ErrMalformed, maxLine))
		case len(value) > 0:
			v := &schemas.Vacancy{}
			err = f(line, v, schemas.Decode(schemas.JSON, value, v))
		default:
			err = nil
		}
		if err != nil || done {
			return err
		}
	}
}

// readLine returns a line; of one that is too long it returns nothing, but reads it to its end.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			line, tooLong = nil, true
		}
		if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

// columns of a CSV file; others become attributes.
var columns = map[string]func(*schemas.Vacancy, string) error{
	"id":           func(v *schemas.Vacancy, s string) error { v.Id = s; return nil },
	"text":         func(v *schemas.Vacancy, s string) error { v.Text = s; return nil },
	"title":        func(v *schemas.Vacancy, s string) error { v.Title = s; return nil },
	"employer":     func(v *schemas.Vacancy, s string) error { v.Employer = s; return nil },
	"source":       func(v *schemas.Vacancy, s string) error { v.Source = s; return nil },
	"category":     func(v *schemas.Vacancy, s string) error { v.Category = s; return nil },
	"published_at": setPublishedAt,
}

func setPublishedAt(v *schemas.Vacancy, s string) error {
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			v.PublishedAt = schemas.Time(t)
			return nil
		}
	}
	return fmt.Errorf("%w vacancy: published_at is not a time like 2026-01-31T08:00:00Z or 2026-01-31", schemas.ErrMalformed)
}

func readCSV(in io.Reader, f func(int, *schemas.Vacancy, error) error) error {
	reader := csv.NewReader(bufio.NewReader(in))
	reader.LazyQuotes = true
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("its header: %w", err)
	}
	for i := range header {
		header[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(header[i], "\ufeff")))
	}
	if len(header) == 1 && strings.Contains(header[0], ";") {
		return errors.New("the header is separated by semicolons: use commas")
	}
	if !slices.Contains(header, "text") {
		return fmt.Errorf("the header %q has no column text; columns are %s", strings.Join(header, ","), strings.Join(slices.Sorted(maps.Keys(columns)), ", "))
	}
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		line, _ := reader.FieldPos(0)
		v := &schemas.Vacancy{}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			line, err = parse.Line, fmt.Errorf("%w vacancy: %w", schemas.ErrMalformed, parse.Err)
		} else if err != nil {
			return err
		} else {
			err = fill(v, header, fields)
		}
		if err := f(line, v, err); err != nil {
			return err
		}
	}
}

func fill(v *schemas.Vacancy, header, fields []string) error {
	for i, name := range header {
		if fields[i] == "" {
			continue
		}
		set, known := columns[name]
		if !known {
			if v.Attributes == nil {
				v.Attributes = map[string]string{}
			}
			v.Attributes[name] = fields[i]
			continue
		}
		if err := set(v, fields[i]); err != nil {
			return err
		}
	}
	return nil
}

// MarshalJSON writes a bad line for machines.
func (b *BadLine) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"file": b.File, "line": b.Line, "error": b.Err.Error()})
}
