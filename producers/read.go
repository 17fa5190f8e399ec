package producers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"jobstrom/schemas"
)

// Format is how a file holds vacancies.
type Format string

// Formats of files.
const (
	JSONL   Format = "jsonl"   // one JSON object a line
	CSV     Format = "csv"     // with a header; any delimiter
	Parquet Format = "parquet" // flat columns
)

// FormatOf guesses a format from a file name; everything but .csv, .tsv and .parquet is JSONL.
func FormatOf(name string) Format {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv", ".tsv":
		return CSV
	case ".parquet", ".pq":
		return Parquet
	}
	return JSONL
}

// ReadOptions say what of files becomes vacancies. All but Dated and Progress are of CSV, Parquet and folders: a line of JSON says itself what it is.
type ReadOptions struct {
	// Columns name the column of a field (one of Fields). A field without an entry is read from the column of its own name, if there is one that no other
	// field has. A row is bad without its published_at where that has an entry.
	Columns map[string]string
	// Dated makes a vacancy without published_at a bad line, of JSONL, too.
	Dated bool
	// Attributes are the columns that become attributes. All others are not published.
	Attributes []string
	// AttributesMayLack lets files pass that have not all of the attributes' columns.
	AttributesMayLack bool
	// Categories are the user's own names of categories, in lower case, and those of the taxonomy, or nothing: see ReadCategoryMap.
	Categories map[string]string
	// Taxonomy is what categories must be in. Nil takes any.
	Taxonomy *schemas.Taxonomy
	// Delimiter is that of CSV; 0 detects it in the header.
	Delimiter byte
	// Encoding is that of CSV and text files: utf-8 (default), latin1, windows-1252 or utf-16.
	Encoding string
	// Pattern chooses the files of a folder by their names. Default: *.txt.
	Pattern string
	// Index is a CSV file with a column file, which says more about the files of a folder.
	Index string
	// Mapped is told how the columns of a file are used. Nil is allowed.
	Mapped func(file string, columns []Mapping)
	// Progress is told how much of a file is read: bytes, of Parquet rows, of a folder files. Nil is allowed.
	Progress func(file string, done, of int64)
}

// EnsureDefaults fills what is not set.
func (o *ReadOptions) EnsureDefaults() {
	if o.Pattern == "" {
		o.Pattern = "*.txt"
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
}

// Validate reports every violation.
func (o *ReadOptions) Validate() error {
	var wrong []error
	for field, column := range o.Columns {
		if !slices.Contains(Fields, field) {
			wrong = append(wrong, fmt.Errorf("columns: there is no field %s: the fields are %s", field, strings.Join(Fields, ", ")))
		} else if strings.TrimSpace(column) == "" {
			wrong = append(wrong, fmt.Errorf("columns: the column of %s has no name", field))
		}
	}
	if d := o.Delimiter; d == '"' || d == '\r' || d == '\n' || d >= 0x80 {
		wrong = append(wrong, fmt.Errorf("delimiter (%q) must be one ASCII character, no quote and no line end", rune(d)))
	}
	if _, err := path.Match(o.Pattern, ""); err != nil {
		wrong = append(wrong, fmt.Errorf("pattern (%s) must be one like *.txt: %w", o.Pattern, err))
	}
	if err := checkEncoding(o.Encoding); err != nil {
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// ErrNoVacancies is wrapped for a file without a single line and a folder without a single file.
var ErrNoVacancies = errors.New("no vacancies")

// BadLine is a line that is no vacancy.
type BadLine struct {
	File string
	Line int // of Parquet the row, from 1; 0 of a file that is one vacancy
	Err  error
}

// Error says where and why.
func (b *BadLine) Error() string {
	if b.Line == 0 {
		return fmt.Sprintf("%s: %v", b.File, b.Err)
	}
	return fmt.Sprintf("%s:%d: %v", b.File, b.Line, b.Err)
}

// Unwrap returns the reason.
func (b *BadLine) Unwrap() error { return b.Err }

// Column names the column that is wrong, if one alone is.
func (b *BadLine) Column() string {
	var in *columnError
	if errors.As(b.Err, &in) {
		return in.column
	}
	return ""
}

// MarshalJSON writes a bad line for machines.
func (b *BadLine) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		File   string `json:"file"`
		Line   int    `json:"line,omitempty"`
		Column string `json:"column,omitempty"`
		Err    string `json:"error"`
	}{b.File, b.Line, b.Column(), b.Err.Error()})
}

// Read calls f for each vacancy of JSONL or CSV, and bad for each line that is none. It stops at the first error of f. A file that cannot be read at all,
// an empty one, or a CSV without a text column is an error.
func Read(in io.Reader, name string, format Format, o ReadOptions, f func(line int, v *schemas.Vacancy) error, bad func(*BadLine)) error {
	return reading(name, o, f, bad, func(t *table) error {
		if format == CSV {
			return readCSV(in, t)
		}
		return readJSONL(in, func(line int, v *schemas.Vacancy, err error) error { return t.row(name, line, v, err) })
	})
}

// ReadFile is Read of a file by its name, or of the text files in a folder. Each file is a stream: of CSV and Parquet a thousand rows are held in memory.
func ReadFile(name string, o ReadOptions, f func(line int, v *schemas.Vacancy) error, bad func(*BadLine)) error {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return fmt.Errorf("reading vacancies from %s: %w", name, err)
	}
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("reading vacancies: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("reading vacancies: %w", err)
	}
	if info.IsDir() {
		return reading(name, o, f, bad, readFolder)
	}
	if FormatOf(name) == Parquet {
		return reading(name, o, f, bad, func(t *table) error { return readParquet(file, info.Size(), t) })
	}
	return Read(&progressReader{in: file, told: func(done int64) { o.Progress(name, done, info.Size()) }}, name, FormatOf(name), o, f, bad)
}

// reading runs how over a table of a file and says of every error that it is the file's.
func reading(name string, o ReadOptions, f func(line int, v *schemas.Vacancy) error, bad func(*BadLine), how func(*table) error) error {
	t := &table{name: name, o: &o, f: f, bad: bad}
	err := how(t)
	if err == nil {
		err = t.end()
	}
	if err == nil && t.rows == 0 {
		err = fmt.Errorf("%w: the file is empty", ErrNoVacancies)
	}
	if err != nil {
		return fmt.Errorf("reading vacancies from %s: %w", name, err)
	}
	return nil
}

// progressReader tells how much was read.
type progressReader struct {
	in   io.Reader
	done int64
	told func(done int64)
}

func (r *progressReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.done += int64(n)
	r.told(r.done)
	return n, err
}
