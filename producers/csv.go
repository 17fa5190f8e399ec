package producers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"jobstrom/schemas"
)

// maxAgain bounds the bytes that are read again after quotes that open and do not close.
const maxAgain = 1 << 30

var (
	errStray    = fmt.Errorf("%w vacancy: a quote inside a quoted field is not doubled, or its field goes on over lines", schemas.ErrMalformed)
	errUnclosed = fmt.Errorf("%w vacancy: a quote is opened and not closed", schemas.ErrMalformed)
	errLong     = fmt.Errorf("%w vacancy: the line has more than %d bytes", schemas.ErrMalformed, maxLine)
)

// csvReader reads records as RFC 4180 has them, and lets pass what exports do: any delimiter, quotes inside a field, empty lines. encoding/csv takes the rest
// of a file for one field after a quote that nobody closes; here the lines after it are read again, one by one, so that none is lost.
type csvReader struct {
	in        *bufio.Reader
	delimiter byte
	line      int      // the number of lines taken
	waiting   [][]byte // lines to be read again
	again     int      // bytes of these, in all
	refused   bool     // the record before
	width     int      // fields of the header, 0 before it
}

// newCSV detects the delimiter from the first line where none is given.
func newCSV(in io.Reader, delimiter byte) (*csvReader, error) {
	c := &csvReader{in: bufio.NewReaderSize(in, 1<<16), delimiter: delimiter}
	first, err := c.next()
	if err != nil {
		return c, err
	}
	if bytes.HasPrefix(first, []byte("\xff\xfe")) || bytes.HasPrefix(first, []byte("\xfe\xff")) {
		return nil, errors.New("it is UTF-16: save it as UTF-8 or use --encoding utf-16")
	}
	first = bytes.TrimPrefix(first, []byte("\ufeff"))
	if c.delimiter == 0 {
		c.delimiter = detect(first)
	}
	c.pushBack([][]byte{first})
	return c, nil
}

// detect returns the one of four delimiters that a header holds most often outside quotes.
func detect(header []byte) byte {
	count, quoted := map[byte]int{}, false
	for _, c := range header {
		if c == '"' {
			quoted = !quoted
		} else if !quoted {
			count[c]++
		}
	}
	best := byte(',')
	for _, d := range []byte(";\t|") {
		if count[d] > count[best] {
			best = d
		}
	}
	return best
}

// next returns a line with its end. A line that is too long is empty and reported.
func (c *csvReader) next() ([]byte, error) {
	c.line++
	if len(c.waiting) > 0 {
		line := c.waiting[0]
		c.waiting = c.waiting[1:]
		if line == nil { // the place of one that was too long
			return nil, errLong
		}
		return line, nil
	}
	line, tooLong, err := readLine(c.in)
	if tooLong {
		return nil, errLong
	}
	if len(line) > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return line, err
}

func (c *csvReader) pushBack(lines [][]byte) {
	c.line -= len(lines)
	c.waiting = append(lines[:len(lines):len(lines)], c.waiting...)
}

// read returns the next record and the line it begins on. After an error that wraps schemas.ErrMalformed the next record can be read.
func (c *csvReader) read() (line int, fields []string, err error) {
	var first []byte
	doubt := false
	defer func() { c.refused = err != nil }()
	for {
		doubt = c.refused || len(c.waiting) > 0 && c.width > 0
		if first, err = c.next(); err != nil {
			return c.line, nil, err
		}
		if len(bytes.TrimRight(first, "\r\n")) > 0 {
			break
		}
	}
	r := record{lines: [][]byte{first}, size: len(first), doubt: doubt}
	line = c.line
	fields, err = r.parse(c)
	if err == nil && c.width > 0 && len(fields) != c.width {
		err = fmt.Errorf("%w vacancy: wrong number of fields: %d, the header has %d", schemas.ErrMalformed, len(fields), c.width)
	}
	if err == nil && r.stray && (doubt || len(r.lines) > 1) {
		err = errStray
	}
	if errors.Is(err, errUnclosed) || err != nil && r.stray {
		for _, l := range r.lines[1:] {
			c.again += len(l)
		}
		if c.again > maxAgain {
			return line, nil, fmt.Errorf("line %d: too many quotes are opened and not closed: is its delimiter %q?", line, c.delimiter)
		}
		if len(r.lines) > 1 {
			c.pushBack(r.lines[1:])
		}
	}
	return line, fields, err
}

// record is one record while it is read.
type record struct {
	lines [][]byte
	size  int
	stray bool // a quote stands inside a quoted field or ends one without, so that a field's end is a guess
	doubt bool // it follows what was refused, and may be the end of that
}

func (r *record) parse(c *csvReader) ([]string, error) {
	var fields []string
	rest := r.lines[0]
	for {
		if len(rest) == 0 || rest[0] != '"' {
			field, after, more := bytes.Cut(rest, []byte{c.delimiter})
			if !more {
				field = bytes.TrimRight(field, "\r\n")
			}
			r.stray = r.stray || r.doubt && bytes.HasSuffix(field, []byte{'"'})
			fields, rest = append(fields, string(field)), after
			if !more {
				return fields, nil
			}
			continue
		}
		field, after, err := r.quoted(c, rest[1:])
		if err != nil {
			return nil, err
		}
		fields = append(fields, field)
		if len(after) == 0 || after[0] != c.delimiter {
			return fields, nil
		}
		rest = after[1:]
	}
}

// quoted reads a field after its first quote, over as many lines as it has, and returns what stands after its last.
func (r *record) quoted(c *csvReader, rest []byte) (field string, after []byte, err error) {
	var b strings.Builder
	for {
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			b.Write(bytes.TrimSuffix(rest, []byte("\r\n")))
			if bytes.HasSuffix(rest, []byte("\r\n")) {
				b.WriteByte('\n')
			}
			line, err := c.next()
			if errors.Is(err, errLong) {
				r.lines = append(r.lines, nil) // its place
				return "", nil, errUnclosed
			}
			if errors.Is(err, io.EOF) {
				c.line--
				return "", nil, errUnclosed
			}
			if err != nil {
				return "", nil, err
			}
			r.lines, r.size = append(r.lines, line), r.size+len(line)
			if r.size > maxLine {
				return "", nil, errUnclosed
			}
			rest = line
			continue
		}
		b.Write(rest[:end])
		rest = rest[end+1:]
		switch {
		case len(rest) > 0 && rest[0] == '"':
			b.WriteByte('"')
			rest = rest[1:]
		case len(rest) == 0 || rest[0] == c.delimiter || len(bytes.TrimRight(rest, "\r\n")) == 0:
			return b.String(), rest, nil
		default:
			b.WriteByte('"')
			r.stray = true
		}
	}
}

// readCSV hands the records of a CSV file to a table.
func readCSV(in io.Reader, t *table) error {
	t.remedy = nameEncoding
	return eachRecord(decode(in, t.o.Encoding), t.o.Delimiter, t.header, func(line int, fields []string, err error) error {
		v := &schemas.Vacancy{}
		if err == nil {
			err = t.fill(v, fields)
		}
		return t.row(t.name, line, v, err)
	})
}

// eachRecord calls header with the first record and each with every other, or with what is wrong with it.
func eachRecord(in io.Reader, delimiter byte, header func([]string) error, each func(line int, fields []string, err error) error) error {
	c, err := newCSV(in, delimiter)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	_, names, err := c.read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		err = header(names)
	}
	if err != nil {
		return fmt.Errorf("its header: %w", err)
	}
	c.width = len(names)
	for {
		line, fields, err := c.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, schemas.ErrMalformed) {
			return err
		}
		if err := each(line, fields, err); err != nil {
			return err
		}
	}
}
