package web

import (
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"

	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/server/api"
)

// sheet writes what became of a file's vacancies as CSV that spreadsheets open by a double click: with a byte order mark, and in Danish with semicolons and decimal commas.
type sheet struct {
	*csv.Writer
	language *Language
	names    []string
}

// newSheet begins with the header.
func newSheet(w io.Writer, l *Language, names []string) (*sheet, error) {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return nil, err
	}
	s := &sheet{csv.NewWriter(w), l, names}
	s.Comma, s.UseCRLF = l.form.csvDelimiter, true
	var header []string
	for _, column := range []string{"file", "line", "id", "title", "category", "index", "confidence", "second", "second_confidence", "model", "error"} {
		header = append(header, l.Named("column", column))
	}
	return s, s.Write(header)
}

// row writes one vacancy, or why there is no category for it.
func (s *sheet) row(in input, o api.Outcome, err error) error {
	line, id, title := "", "", ""
	if in.line > 0 {
		line = strconv.Itoa(in.line)
	}
	if in.vacancy != nil {
		id, title = in.vacancy.Id, in.vacancy.Title
	}
	fields := []string{harmless(in.file), line, harmless(id), harmless(title)}
	if err != nil || o.Answer == nil {
		return s.Write(append(fields, "", "", "", "", "", "", harmless(s.reason(err))))
	}
	bars := barsOf(o.Answer.Distribution, s.names)
	second, confidence := "", ""
	if len(bars) > 1 {
		second, confidence = bars[1].Name, s.language.Number(bars[1].Share, 4)
	}
	return s.Write(append(fields, harmless(o.Answer.CategoryLabel), strconv.Itoa(o.Answer.CategoryIndex), s.language.Number(o.Answer.Confidence, 4),
		harmless(second), confidence, harmless(o.Answer.Model), ""))
}

// reason says in a few words why there is no category.
func (s *sheet) reason(err error) string {
	if errors.Is(err, extract.ErrNothingExtracted) || errors.Is(err, schemas.ErrMalformed) {
		f := failureOf(err)
		_, text := f.told(s.language)
		if f.detail != "" {
			text += " (" + f.detail + ")"
		}
		return text
	}
	_, text := failureOf(err).told(s.language)
	return text
}

// harmless returns a cell that no spreadsheet takes for a formula.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n|%＝＋－＠", []rune(cell)[0]) {
		return "'" + cell
	}
	return cell
}
