package web

import (
	"net/http"
	"strconv"
	"strings"

	"jobstrom/server/access"
	"jobstrom/server/api"
)

// How much the live page shows.
const (
	mostEvents  = 40
	mostLetters = 100
)

// flow is what the live page shows.
type flow struct {
	Stats  api.Stats
	Chart  chart
	Events []api.Event
	// Letters is nil for who may not see them and where nobody keeps them; Away says that they cannot be read now.
	Letters *api.DeadLetters
	Away    bool
	// Sent says how many letters were sent again a moment ago, how many had been before and how many could not be; nil when nothing was.
	Sent []string
}

// live shows the flow as it is now.
func (p *Pages) live(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Classify); err != nil {
		return err
	}
	if p.service.Feed == nil {
		return missing()
	}
	l := p.language(r)
	body := flow{Stats: p.service.Feed.Stats(), Events: p.service.Feed.Recent(mostEvents)}
	steps := make([]step, len(body.Stats.Minutes))
	for i, m := range body.Stats.Minutes {
		steps[i] = step{m.Minute, m.Categories}
	}
	body.Chart = newChart(l, steps, p.service.Taxonomy.Names(), l.Minute)
	if r.Header.Get(pieceHeader) == "" && access.CallerOf(r.Context()).Has(access.Admin) && p.service.DeadLetters != nil {
		letters, err := p.service.DeadLetters(r.Context(), mostLetters)
		if err != nil {
			p.Logger.WarnContext(r.Context(), "listing dead letters", "error", err)
		}
		body.Letters, body.Away = letters, err != nil
	}
	if sent := strings.Split(r.URL.Query().Get("sendt"), "-"); len(sent) == 3 {
		for _, n := range sent {
			count, err := strconv.Atoi(n)
			if err != nil || count < 0 {
				body.Sent = nil
				break
			}
			body.Sent = append(body.Sent, l.Whole(count))
		}
	}
	return p.show(w, r, "live", body)
}

// replay sends dead letters again, those chosen or all.
func (p *Pages) replay(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Admin); err != nil {
		return err
	}
	if p.service.Replay == nil {
		return missing()
	}
	if err := parseForm(r); err != nil {
		return err
	}
	var places []api.LetterPlace
	if r.PostFormValue("alle") == "" {
		for _, value := range r.PostForm["brev"] {
			partition, offset, _ := strings.Cut(value, "-")
			n, err := strconv.ParseInt(partition, 10, 32)
			at, err2 := strconv.ParseInt(offset, 10, 64)
			if err != nil || err2 != nil || n < 0 || at < 0 {
				return badRequest("error.letter")
			}
			places = append(places, api.LetterPlace{Partition: int32(n), Offset: at})
		}
		if len(places) == 0 {
			return badRequest("error.letters")
		}
	}
	done, err := p.service.Replay(r.Context(), places)
	if err != nil {
		return err
	}
	refused := 0
	for _, n := range done.Refused {
		refused += n
	}
	http.Redirect(w, r, "/live?sendt="+strconv.Itoa(done.Replayed)+"-"+strconv.Itoa(done.Skipped)+"-"+strconv.Itoa(refused), http.StatusSeeOther)
	return nil
}
