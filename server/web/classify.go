package web

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/server/access"
	"jobstrom/server/api"
)

// maxShown is how many code points of a vacancy the result shows.
const maxShown = 20_000

//go:embed examples/*.txt
var exampleFiles embed.FS

// example is a vacancy to try.
type example struct{ title, text string }

// readExamples reads the vacancies to try; a file's first line is its title.
func readExamples() ([]example, error) {
	entries, err := exampleFiles.ReadDir("examples")
	if err != nil {
		return nil, fmt.Errorf("reading examples: %w", err)
	}
	var all []example
	for _, e := range entries {
		content, err := exampleFiles.ReadFile("examples/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading examples: %w", err)
		}
		title, text, _ := strings.Cut(string(content), "\n")
		all = append(all, example{title, strings.TrimSpace(text)})
	}
	return all, nil
}

// classified is what the front page shows.
type classified struct {
	Title, Text string
	// Next is the number of the example to offer.
	Next int
	// Result is nil before anything is asked, and where Vague says that the text holds too little to classify it.
	Result *result
	Vague  bool
}

// result is the answer to a vacancy.
type result struct {
	*api.Answer
	Bars  []bar
	Parts []part
	Cut   bool
	// Labels are those of the entities.
	Labels []legend
	// Loose entities were put together from several places.
	Loose []api.Entity
}

// front shows the form, empty or with an example.
func (p *Pages) front(w http.ResponseWriter, r *http.Request) error {
	body := classified{Next: 1}
	if n, err := strconv.Atoi(r.URL.Query().Get("eksempel")); err == nil && n > 0 {
		e := p.examples[(n-1)%len(p.examples)]
		body.Title, body.Text, body.Next = e.title, e.text, n%len(p.examples)+1
	}
	return p.show(w, r, "classify", body)
}

// classify answers the form with the form and its result.
func (p *Pages) classify(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Classify); err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	v := &schemas.Vacancy{Title: strings.TrimSpace(r.PostFormValue("title")), Text: r.PostFormValue("text")}
	if strings.TrimSpace(v.Text) == "" {
		v.Text, v.Title = v.Title, ""
	}
	if strings.TrimSpace(v.Text) == "" {
		return badRequest("error.text")
	}
	if err := v.Normalize(); err != nil {
		return err
	}
	outcomes, err := p.service.ClassifyVacancies(r.Context(), []*schemas.Vacancy{v})
	if err != nil {
		return err
	}
	body := classified{Title: r.PostFormValue("title"), Text: r.PostFormValue("text"), Next: 1}
	switch o := outcomes[0]; {
	case o.Err == nil:
		body.Result = p.result(o)
	case errors.Is(o.Err, extract.ErrNothingExtracted):
		body.Vague = true
	default:
		return o.Err
	}
	return p.show(w, r, "classify", body)
}

// result makes an outcome ready to be shown.
func (p *Pages) result(o api.Outcome) *result {
	out := &result{Answer: o.Answer, Bars: barsOf(o.Answer.Distribution, p.service.Taxonomy.Names())}
	source := []rune(o.Source)
	if len(source) > maxShown {
		source, out.Cut = source[:maxShown], true
	}
	out.Parts, out.Labels = marked(string(source), o.Answer.Entities, o.Answer.Redactions)
	for _, e := range o.Answer.Entities {
		if e.End == 0 {
			out.Loose = append(out.Loose, e)
		}
	}
	return out
}

// correct takes a person's word for a vacancy's category.
func (p *Pages) correct(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Publish); err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	by := cmp.Or(access.CallerOf(r.Context()).Name, "web")
	label, err := p.service.Feedback(r.Context(), api.Feedback{ID: r.PostFormValue("id"), Category: r.PostFormValue("category"), By: by})
	if err != nil {
		return err
	}
	return p.show(w, r, "correct", label)
}

// parseForm reads a form, of fields alone or with files. Nothing of it touches the disk.
func parseForm(r *http.Request) error {
	var err error
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		err = r.ParseMultipartForm(1 << 40) // in memory; how much is bounded by MaxBytes
	} else {
		err = r.ParseForm()
	}
	if err != nil {
		return fmt.Errorf("reading a form: %w", asBadRequest(err))
	}
	return nil
}

// asBadRequest keeps what is too large and makes everything else a bad request.
func asBadRequest(err error) error {
	if f := failureOf(err); f.status == http.StatusRequestEntityTooLarge {
		return f
	}
	return &failure{status: http.StatusBadRequest}
}
