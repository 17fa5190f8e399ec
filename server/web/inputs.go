package web

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"jobstrom/producers"
	"jobstrom/schemas"
)

// input is a vacancy of a file, or what is wrong with it.
type input struct {
	file    string
	line    int // 0 of a file that is one vacancy
	vacancy *schemas.Vacancy
	err     error
}

// readInputs reads the vacancies of files: CSV and JSONL hold many, a text file is one, whose first line is its title. A file that cannot be read at all is an error.
func readInputs(files []*multipart.FileHeader) ([]input, error) {
	var all []input
	for _, header := range files {
		file, err := header.Open()
		if err != nil {
			return nil, fmt.Errorf("reading a file: %w", err)
		}
		content, err := io.ReadAll(file)
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("reading a file: %w", err)
		}
		name := filepath.Base(header.Filename)
		switch strings.ToLower(filepath.Ext(name)) {
		case ".txt":
			all = append(all, readText(name, content))
		case ".csv", ".tsv", ".jsonl", ".ndjson", ".json":
			if all, err = readTable(all, name, content); err != nil {
				return nil, err
			}
		default:
			return nil, badRequest("error.format")
		}
	}
	if len(all) == 0 {
		return nil, badRequest("error.empty")
	}
	return all, nil
}

// readTable reads a file of many vacancies.
func readTable(all []input, name string, content []byte) ([]input, error) {
	format := producers.FormatOf(name)
	o := producers.ReadOptions{Encoding: encodingOf(content)}
	if format == producers.CSV {
		o.Columns = columnsOf(content)
	}
	err := producers.Read(bytes.NewReader(content), name, format, o, func(line int, v *schemas.Vacancy) error {
		all = append(all, input{name, line, v, nil})
		return nil
	}, func(bad *producers.BadLine) {
		all = append(all, input{name, bad.Line, nil, bad.Err})
	})
	if err != nil {
		f := failureOf(err)
		if f.status >= 500 { // what is wrong with the whole file, such as a missing column
			f = &failure{status: 400, message: "error.file", detail: err.Error()}
		}
		return nil, f
	}
	return all, nil
}

// readText makes a vacancy of a text file.
func readText(name string, content []byte) input {
	text := string(content)
	switch encodingOf(content) {
	case "windows-1252":
		text = fromWindows(content)
	case "utf-16":
		return input{file: name, err: fmt.Errorf("%w vacancy: the file is UTF-16, save it as UTF-8", schemas.ErrMalformed)}
	}
	title, rest, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")), "\n")
	v := &schemas.Vacancy{Title: strings.TrimSpace(title), Text: strings.TrimSpace(rest)}
	if v.Text == "" || len(v.Title) > schemas.MaxTitle {
		v.Title, v.Text = "", strings.TrimSpace(title+"\n"+rest)
	}
	if err := v.Normalize(); err != nil {
		return input{file: name, err: err}
	}
	return input{file: name, vacancy: v}
}

// encodingOf guesses how a file is written: Danish spreadsheets save Windows-1252 or UTF-16 where they are not told otherwise.
func encodingOf(content []byte) string {
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")):
		return "utf-16"
	case !utf8.Valid(content):
		return "windows-1252"
	}
	return "utf-8"
}

// columnsOf says which columns of a CSV file hold title, text and the like under a name of their own.
func columnsOf(content []byte) map[string]string {
	names := map[string][]string{
		"text": {"tekst", "opslag", "opslagstekst", "jobopslag", "annonce", "beskrivelse", "description"}, "title": {"titel", "stilling", "stillingsbetegnelse", "overskrift"},
		"employer": {"arbejdsgiver", "virksomhed"}, "source": {"kilde"}, "id": {"nummer", "løbenummer"},
	}
	header, _, _ := bytes.Cut(content, []byte("\n"))
	present := map[string]bool{}
	for _, column := range strings.FieldsFunc(strings.TrimPrefix(fromWindows(header), "\ufeff"), func(r rune) bool { return strings.ContainsRune(",;\t|\r", r) }) {
		present[strings.ToLower(strings.Trim(column, `" `))] = true
	}
	columns := map[string]string{}
	for field, others := range names {
		for _, column := range others {
			if !present[field] && columns[field] == "" && present[column] {
				columns[field] = column
			}
		}
	}
	return columns
}

// fromWindows returns text that is UTF-8 or else Windows-1252.
func fromWindows(content []byte) string {
	if utf8.Valid(content) {
		return string(content)
	}
	text, _ := charmap.Windows1252.NewDecoder().Bytes(content) // every byte means something there
	return string(text)
}
