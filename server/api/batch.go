package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"jobstrom/pipeline"
	"jobstrom/schemas"
	"jobstrom/server/access"
)

// Bounds of what a stream of lines holds in memory.
const (
	chunkLines = 64
	chunkBytes = 1 << 20 // no further line is read once a chunk has so many
	lineBuffer = 256 << 10
)

// ndjson is the content type of a stream of lines.
const ndjson = "application/x-ndjson"

// BatchLine is what a stream of lines says of one line: its answer, or what is wrong with it.
type BatchLine struct {
	Index int `json:"index" minimum:"0" doc:"of the line, from 0; empty lines do not count"`
	*Answer
	Problem *Problem `json:"problem,omitempty"`
}

// batchRoutes is the stream of lines.
func (r *routes) batchRoutes() {
	r.schema(BatchLine{})
	add(r, operation{
		method: http.MethodPost, path: "/v1/batch", id: "batch", tag: tagClassify, scope: access.Classify, content: ndjson,
		errors:  []int{http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		summary: "Classify any number of vacancies, line by line",
		text: "Each line is a JSON string, or an object as for /v1/classify. Each line of the answer is an object of the schema BatchLine, in the order of the lines; a line that cannot be answered has a problem in its place. " +
			"Answers come while lines are still read, and no further lines are read while answers are not taken: read while you send. When there is no room at the beginning the answer is 429; later the stream waits for room.",
	}, func(context.Context, *struct{}) (*streamOutput, error) { return &streamOutput{r.batch}, nil })
	r.OpenAPI().Paths["/v1/batch"].Post.RequestBody = &huma.RequestBody{
		Required: true, Description: "lines of JSON",
		Content: map[string]*huma.MediaType{ndjson: {
			Schema:  &huma.Schema{Type: huma.TypeString},
			Example: "\"Vi søger en kok til restauranten, der kan lave mad til mange gæster.\"\n{\"id\": \"a\", \"title\": \"Murer\", \"text\": \"Vi søger en murer til facaderenovering.\"}\n",
		}},
	}
}

// lines is a stream of lines on its way.
type lines struct {
	*Service
	request *http.Request
	w       http.ResponseWriter
	control *http.ResponseController
	in      *bufio.Reader
	out     *json.Encoder
	next    int  // index of the next line
	started bool // the answer has begun
}

// line is one of them: a vacancy, or why it is none.
type line struct {
	vacancy *schemas.Vacancy
	err     error
}

// batch answers a stream of lines.
func (r *routes) batch(hc huma.Context) {
	request, w := humago.Unwrap(hc)
	l := &lines{Service: r.Service, request: request, w: w, control: http.NewResponseController(w), in: bufio.NewReaderSize(request.Body, lineBuffer), out: json.NewEncoder(w)}
	l.out.SetEscapeHTML(false)
	_ = l.control.EnableFullDuplex() // HTTP/2 is so anyway
	// A read that waits for a caller who sends nothing must not hold up the end of the process.
	defer context.AfterFunc(r.Stopping, func() { _ = l.control.SetReadDeadline(time.Now()) })()
	err := l.run(request.Context())
	switch {
	case err == nil:
	case l.started:
		_ = l.out.Encode(BatchLine{Index: l.next, Problem: r.Problem(request.Context(), err)})
	default:
		r.Problem(request.Context(), err).Write(w, request)
	}
}

// run answers chunk after chunk.
func (l *lines) run(ctx context.Context) error {
	for more := true; more; {
		var chunk []line
		var err error
		if chunk, more, err = l.chunk(); err != nil {
			return err
		}
		if err := l.answer(ctx, chunk); err != nil {
			return err
		}
	}
	if l.next == 0 {
		return newProblem(http.StatusBadRequest, kindMalformed, "there are no lines")
	}
	return nil
}

// chunk reads a line, and those behind it that are already here. More is false at the end.
func (l *lines) chunk() (chunk []line, more bool, err error) {
	for n := 0; len(chunk) < min(chunkLines, l.MaxTexts) && n < chunkBytes; {
		if len(chunk) > 0 {
			if here, _ := l.in.Peek(l.in.Buffered()); bytes.IndexByte(here, '\n') < 0 {
				break
			}
		}
		_ = l.control.SetReadDeadline(time.Now().Add(patience))
		if l.Stopping.Err() != nil { // perhaps since just now: whoever stops sets a deadline, which this one may have replaced
			_ = l.control.SetReadDeadline(time.Now())
		}
		data, large, err := l.read()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, false, l.unread(err)
		}
		n += len(data)
		if data = bytes.TrimSpace(data); large {
			chunk = append(chunk, line{err: tooLarge(l.MaxBytes)})
		} else if len(data) > 0 {
			chunk = append(chunk, decodeLine(data))
		}
		if err != nil {
			_ = l.control.SetReadDeadline(time.Time{}) // net/http reads on to see the caller go, and a deadline then is that
			return chunk, false, nil
		}
	}
	return chunk, true, nil
}

// read returns a line. One that is too large is read to its end and not kept. At the end of the stream the error is io.EOF, perhaps with a last line.
func (l *lines) read() (data []byte, large bool, err error) {
	for {
		part, err := l.in.ReadSlice('\n')
		if large = large || int64(len(data)+len(part)) > l.MaxBytes; large {
			data = nil
		} else {
			data = append(data, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return data, large, err
		}
	}
}

// unread says why no line came.
func (l *lines) unread(err error) error {
	switch {
	case l.Stopping.Err() != nil:
		return absent("this process is ending", "send this line and those behind it again")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return newProblem(http.StatusRequestTimeout, kindSlow, fmt.Sprintf("no line came for %s", patience))
	}
	return newProblem(statusGone, kindGone, "the request broke off")
}

func decodeLine(data []byte) line {
	var t TextOrVacancy
	if err := readJSON(data, &t); err != nil {
		return line{err: newProblem(http.StatusBadRequest, kindMalformed, err.Error())}
	}
	return line{vacancy: t.vacancy()}
}

// answer writes what became of the lines of a chunk.
func (l *lines) answer(ctx context.Context, chunk []line) error {
	if len(chunk) == 0 {
		return nil
	}
	var vacancies []*schemas.Vacancy
	for _, c := range chunk {
		if c.err == nil {
			vacancies = append(vacancies, c.vacancy)
		}
	}
	outcomes, err := l.wait(ctx, vacancies)
	if err != nil {
		return err
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(patience))
	if !l.started {
		l.w.Header().Set("Content-Type", ndjson)
		l.w.WriteHeader(http.StatusOK)
		l.started = true
	}
	for _, c := range chunk {
		answer := BatchLine{Index: l.next}
		if c.err == nil {
			answer.Answer, c.err = outcomes[0].Answer, outcomes[0].Err
			outcomes = outcomes[1:]
		}
		if c.err != nil {
			answer.Answer, answer.Problem = nil, l.Problem(ctx, c.err)
		}
		if err := l.out.Encode(answer); err != nil {
			return err
		}
		l.next++
	}
	return l.control.Flush()
}

// wait classifies. Once the answer has begun it waits for room, and asks for less of it each time.
func (l *lines) wait(ctx context.Context, vacancies []*schemas.Vacancy) ([]Outcome, error) {
	out := make([]Outcome, 0, len(vacancies))
	size, pause := len(vacancies), shortPause
	for len(vacancies) > 0 {
		size = min(size, len(vacancies))
		part, err := l.ClassifyVacancies(ctx, vacancies[:size])
		switch {
		case err == nil:
			out, vacancies, pause = append(out, part...), vacancies[size:], shortPause
			continue
		case !errors.Is(err, pipeline.ErrOverloaded) || !l.started && len(out) == 0:
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-l.Stopping.Done():
			return nil, l.unread(nil)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		size, pause = max(1, size/2), min(2*pause, longPause)
	}
	return out, nil
}

// Pauses between two looks for room.
const (
	shortPause = 5 * time.Millisecond
	longPause  = 200 * time.Millisecond
)
