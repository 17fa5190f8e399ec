package web

import (
	"net/http"
	"strconv"
	"strings"

	"jobstrom/server/access"
	"jobstrom/server/api"
)

// mostFound is how many vacancies a search shows.
const mostFound = 20

// searched is what the search page shows.
type searched struct {
	Text string
	// Category is an index, -1 for all.
	Category int
	From, To string
	// Asked says that there was a question; Found answers it.
	Asked bool
	Found []api.Neighbour
}

// searchPage shows the form.
func (p *Pages) searchPage(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Classify); err != nil {
		return err
	}
	if p.service.Similar == nil {
		return missing()
	}
	return p.show(w, r, "search", searched{Category: -1})
}

// search finds the vacancies nearest to a text. The text is in the form's body, not in the address.
func (p *Pages) search(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Classify); err != nil {
		return err
	}
	if p.service.Similar == nil {
		return missing()
	}
	if err := parseForm(r); err != nil {
		return err
	}
	body := searched{Text: r.PostFormValue("text"), Category: -1, From: r.PostFormValue("fra"), To: r.PostFormValue("til"), Asked: true}
	if strings.TrimSpace(body.Text) == "" {
		return badRequest("error.query")
	}
	if value := r.PostFormValue("category"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < -1 || n >= len(p.service.Taxonomy.Names()) {
			return badRequest("error.category")
		}
		body.Category = n
	}
	times, err := driftQuery(p.language(r), r)
	if err != nil {
		return err
	}
	body.Found, err = p.service.SimilarTo(r.Context(), body.Text, api.SimilarQuery{Category: body.Category, Since: times.Since, Until: times.Until, Most: mostFound})
	if err != nil {
		return err
	}
	return p.show(w, r, "search", body)
}
