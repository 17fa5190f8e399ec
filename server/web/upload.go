package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"jobstrom/schemas"
	"jobstrom/server/access"
	"jobstrom/server/api"
)

const (
	// uploadChunk is how many vacancies of a file are classified at once, so that others are answered in between.
	uploadChunk = 32
	// chunkTime bounds the writing of a chunk to a slow reader.
	chunkTime = 5 * time.Minute
	// patience is how long a file waits for room when the service is busy.
	patience = time.Minute
)

// upload classifies files. Without script the answer is the CSV; for the script it is lines of JSON that say how far it is, with the CSV in pieces.
func (p *Pages) upload(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Classify); err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	if r.MultipartForm == nil || len(r.MultipartForm.File["fil"]) == 0 {
		return badRequest("error.choose")
	}
	inputs, err := readInputs(r.MultipartForm.File["fil"])
	if err != nil {
		return err
	}
	response := http.NewResponseController(w)
	_ = response.SetWriteDeadline(time.Now().Add(chunkTime)) // where the connection has one, a long file needs more, again and again
	first, err := p.classifyChunk(r.Context(), inputs[:min(p.chunk(), len(inputs))])
	if err != nil {
		return err // nothing is written yet: the page of the failure can be shown
	}
	l := p.language(r)
	name := l.Text("upload.name")
	var out destination = &download{w}
	w.Header().Set("Cache-Control", "no-store")
	if r.Header.Get(pieceHeader) != "" {
		out = &progress{w: w, of: len(inputs), name: name}
		w.Header().Set("Content-Type", "application/x-ndjson")
	} else {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	p.fill(r.Context(), response, out, l, inputs, first)
	return nil
}

// chunk is how many vacancies are classified at once.
func (p *Pages) chunk() int { return min(uploadChunk, p.service.MaxTexts) }

// fill writes the sheet of all inputs; the first chunk's outcomes are there. Who has gone away is not written to.
func (p *Pages) fill(ctx context.Context, response *http.ResponseController, to destination, l *Language, inputs []input, first []api.Outcome) {
	var piece bytes.Buffer
	s, err := newSheet(&piece, l, p.service.Taxonomy.Names())
	for from, outcomes := 0, first; err == nil && from < len(inputs); from += p.chunk() {
		chunk := inputs[from:min(from+p.chunk(), len(inputs))]
		var failed error
		if from > 0 {
			outcomes, failed = p.classifyChunk(ctx, chunk)
		}
		refused := 0
		for i, in := range chunk {
			why := failed
			var o api.Outcome
			if failed == nil {
				o, why = outcomes[i], outcomes[i].Err
			}
			if why != nil {
				refused++
			}
			if err = s.row(in, o, why); err != nil {
				return
			}
		}
		s.Flush()
		_ = response.SetWriteDeadline(time.Now().Add(chunkTime))
		if err = to.write(piece.String(), from+len(chunk), refused); err == nil {
			err = response.Flush()
		}
		piece.Reset()
		if ctx.Err() != nil {
			return
		}
	}
}

// classifyChunk answers inputs in order; those that are no vacancies have their error. While the service is busy it waits.
func (p *Pages) classifyChunk(ctx context.Context, inputs []input) ([]api.Outcome, error) {
	outcomes := make([]api.Outcome, len(inputs))
	var vacancies []*schemas.Vacancy
	var place []int
	for i, in := range inputs {
		if in.err != nil {
			outcomes[i].Err = in.err
			continue
		}
		vacancies, place = append(vacancies, in.vacancy), append(place, i)
	}
	if len(vacancies) == 0 {
		return outcomes, nil
	}
	found, err := p.service.ClassifyVacancies(ctx, vacancies)
	for pause, until := 50*time.Millisecond, time.Now().Add(patience); err != nil && failureOf(err).status == http.StatusTooManyRequests && time.Now().Before(until); pause = min(2*pause, 2*time.Second) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
			found, err = p.service.ClassifyVacancies(ctx, vacancies)
		}
	}
	if err != nil {
		return nil, err
	}
	for k, i := range place {
		outcomes[i] = found[k]
	}
	return outcomes, nil
}

// destination takes a sheet in pieces.
type destination interface {
	write(piece string, done, refused int) error
}

// download is the sheet itself.
type download struct{ w io.Writer }

func (d *download) write(piece string, _, _ int) error {
	_, err := io.WriteString(d.w, piece)
	return err
}

// progress is a line of JSON a piece.
type progress struct {
	w       io.Writer
	of      int
	name    string
	refused int
}

func (p *progress) write(piece string, done, refused int) error {
	p.refused += refused
	return json.NewEncoder(p.w).Encode(map[string]any{"done": done, "of": p.of, "refused": p.refused, "csv": piece, "name": p.name})
}
