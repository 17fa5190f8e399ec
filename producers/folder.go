package producers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"jobstrom/schemas"
)

// fileColumn of an index names a file of the folder, relative to it.
const fileColumn = "file"

// folder is one with a vacancy in each text file.
type folder struct {
	*table
	root  fs.FS
	names []string // of the files that match, in order
}

// readFolder hands the text files of a folder to a table. The first line of a file is its title and the rest its text, unless the index gives a title; its
// date is the index's or the first in its path. Nothing outside the folder is read, whatever an index or a link says.
func readFolder(t *table) error {
	root, err := os.OpenRoot(t.name)
	if err != nil {
		return err
	}
	defer root.Close()
	t.folder, t.remedy = true, nameEncoding
	d := &folder{table: t, root: root.FS()}
	err = fs.WalkDir(d.root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if match, _ := path.Match(t.o.Pattern, entry.Name()); match && !entry.IsDir() { // the pattern is validated
			d.names = append(d.names, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(d.names) == 0 {
		return fmt.Errorf("%w: no file in it matches %s: use --pattern", ErrNoVacancies, t.o.Pattern)
	}
	if t.o.Index != "" {
		return d.readIndexed()
	}
	if len(t.o.Columns) > 0 || len(t.o.Attributes) > 0 && !t.o.AttributesMayLack {
		return errors.New("a folder of text has no columns: name a CSV file that has them with --index")
	}
	t.sample = &sample{}
	for i, name := range d.names {
		v := &schemas.Vacancy{}
		if err := t.row(d.place(name), 0, v, d.fillFile(v, name)); err != nil {
			return err
		}
		t.o.Progress(t.name, int64(i+1), int64(len(d.names)))
	}
	return nil
}

func (d *folder) place(name string) string { return filepath.Join(d.name, filepath.FromSlash(name)) }

// fillFile sets text, title and date from a file, as far as they are not set.
func (d *folder) fillFile(v *schemas.Vacancy, name string) error {
	file, err := d.root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(decode(file, d.o.Encoding), schemas.MaxText+schemas.MaxTitle+4))
	if err != nil {
		return err
	}
	text := strings.TrimSpace(strings.ReplaceAll(strings.TrimPrefix(string(content), "\ufeff"), "\r\n", "\n"))
	switch {
	case len(content) > schemas.MaxText+schemas.MaxTitle:
		return fmt.Errorf("%w vacancy: text has more than %d bytes", schemas.ErrMalformed, schemas.MaxText)
	case !utf8.ValidString(text):
		return fmt.Errorf("%w vacancy: %w", schemas.ErrMalformed, errNotUTF8)
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("%w vacancy: %w", schemas.ErrMalformed, errNUL)
	}
	v.Text = text
	if title, rest, found := strings.Cut(text, "\n"); v.Title == "" && found {
		v.Title, v.Text = strings.TrimSpace(title), strings.TrimSpace(rest)
	}
	if date, found := dateOfPath(name); v.PublishedAt == nil && found {
		v.PublishedAt = schemas.Time(date)
	}
	return nil
}

// readIndexed goes by the rows of the index; a file without a row is reported.
func (d *folder) readIndexed() error {
	index, err := os.Open(d.o.Index)
	if err != nil {
		return err
	}
	defer index.Close()
	files, done := map[string]bool{}, 0 // whether the index has named them
	for _, name := range d.names {
		files[name] = false
	}
	column := -1
	header := func(names []string) error {
		if err := d.header(names); err != nil {
			return err
		}
		column = slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, fileColumn) })
		if column < 0 {
			return fmt.Errorf("it has no column %s, which names the files; %s", fileColumn, listColumns(names))
		}
		return nil
	}
	err = eachRecord(decode(index, d.o.Encoding), d.o.Delimiter, header, func(line int, fields []string, err error) error {
		if err != nil {
			return d.row(d.o.Index, line, nil, err)
		}
		name := path.Clean(filepath.ToSlash(fields[column]))
		switch named, known := files[name]; {
		case !known:
			err = &columnError{fileColumn, fmt.Errorf("the folder has no such file that matches %s", d.o.Pattern)}
		case named:
			err = &columnError{fileColumn, errors.New("a row before has this file, too")}
		}
		v := &schemas.Vacancy{}
		if err == nil {
			files[name] = true
			done++
			err = d.fill(v, fields)
		}
		if err != nil {
			return d.row(d.o.Index, line, v, err)
		}
		err = d.row(d.place(name), 0, v, d.fillFile(v, name))
		d.o.Progress(d.table.name, int64(done), int64(len(d.names)))
		return err
	})
	if err == nil && column < 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return fmt.Errorf("its index %s: %w", d.o.Index, err)
	}
	for _, name := range d.names {
		if !files[name] {
			if err := d.row(d.place(name), 0, nil, fmt.Errorf("%w vacancy: the index %s has no row of it", schemas.ErrMalformed, d.o.Index)); err != nil {
				return err
			}
		}
	}
	return nil
}
