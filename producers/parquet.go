package producers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"jobstrom/schemas"
)

// errCorrupt is wrapped for a Parquet file that is not what its own description says.
var errCorrupt = errors.New("the file is no Parquet file or is damaged: write it again")

// readParquet hands the rows of a Parquet file to a table, page by page and only the columns that are used.
func readParquet(in io.ReaderAt, size int64, t *table) (err error) {
	// The library panics on some damaged files; nothing else runs in here but f, whose panic is told as it is.
	inside := true
	defer func() {
		if p := recover(); p != nil {
			if !inside {
				panic(p)
			}
			err = fmt.Errorf("%w (%v)", errCorrupt, p)
		}
	}()
	t.remedy = "write this column as strings in UTF-8"
	file, err := openParquet(in, size)
	if err != nil {
		return err
	}
	columns := file.Root().Columns()
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name()
	}
	if err := t.header(names); err != nil {
		return err
	}
	// Two uses of one column read it once.
	used := map[int]func(parquet.Value) (string, error){}
	for _, u := range t.uses {
		c := columns[u.column]
		if used[u.column], err = textOf(c); err != nil {
			return fmt.Errorf("column %s: %w", u.name, err)
		}
	}
	values, done := make([]string, len(columns)), int64(0)
	for _, group := range file.RowGroups() {
		chunks := group.ColumnChunks()
		readers := map[int]*chunkReader{}
		for i := range used {
			readers[i] = &chunkReader{pages: chunks[columns[i].Index()].Pages()}
		}
		for range group.NumRows() {
			v, done1 := &schemas.Vacancy{}, error(nil)
			for i, text := range used {
				value, err := readers[i].next()
				if err == nil {
					values[i], err = text(value)
				}
				if errors.Is(err, errValue) {
					done1 = &columnError{names[i], err}
				} else if err != nil {
					return fmt.Errorf("%w (row %d, column %s: %v)", errCorrupt, done+1, names[i], err)
				}
			}
			if done1 == nil {
				done1 = t.fill(v, values)
			}
			done++
			t.o.Progress(t.name, done, file.NumRows())
			inside = false
			err := t.row(t.name, int(done), v, done1)
			inside = true
			if err != nil {
				return err
			}
		}
		for _, r := range readers {
			r.close()
		}
	}
	return nil
}

// openParquet reads the description at the end of a file. Its length, which the file gives, is checked first, because the library reserves it.
func openParquet(in io.ReaderAt, size int64) (*parquet.File, error) {
	if size == 0 {
		return nil, fmt.Errorf("%w: the file is empty", ErrNoVacancies)
	}
	var footer [8]byte
	if _, err := in.ReadAt(footer[:], size-8); size < 12 || err != nil && !errors.Is(err, io.EOF) {
		return nil, errCorrupt
	}
	switch string(footer[4:]) {
	case "PAR1":
	case "PARE":
		return nil, errors.New("the file is encrypted: write it without encryption")
	default:
		return nil, fmt.Errorf("%w (it does not end as one does: was it copied whole?)", errCorrupt)
	}
	if int64(binary.LittleEndian.Uint32(footer[:])) > size-12 {
		return nil, errCorrupt
	}
	file, err := parquet.OpenFile(in, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%w (%v)", errCorrupt, err)
	}
	return file, nil
}

// chunkReader reads the values of a flat column in one row group, page by page.
type chunkReader struct {
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	buffer [256]parquet.Value
	ready  []parquet.Value
}

// next returns the next value, which is good until the call after it.
func (r *chunkReader) next() (parquet.Value, error) {
	for len(r.ready) == 0 {
		if r.values == nil {
			page, err := r.pages.ReadPage()
			if err != nil {
				return parquet.Value{}, err
			}
			r.page, r.values = page, page.Values()
		}
		n, err := r.values.ReadValues(r.buffer[:])
		r.ready = r.buffer[:n]
		if err != nil && !errors.Is(err, io.EOF) {
			return parquet.Value{}, err
		}
		if n == 0 {
			parquet.Release(r.page)
			r.page, r.values = nil, nil
		}
	}
	value := r.ready[0]
	r.ready = r.ready[1:]
	return value, nil
}

func (r *chunkReader) close() {
	if r.page != nil {
		parquet.Release(r.page)
	}
	_ = r.pages.Close() // it was only read
}
