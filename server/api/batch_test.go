package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jobstrom/pipeline"
	"jobstrom/schemas"
	"jobstrom/server"
	"jobstrom/server/api"
)

// stream is a request of lines that is still being written.
type stream struct {
	t        *testing.T
	in       *io.PipeWriter
	response chan *http.Response
	answers  *bufio.Scanner
}

// open begins a stream of lines.
func (s *site) open(ctx context.Context) *stream {
	s.t.Helper()
	out, in := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/batch", out)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	b := &stream{t: s.t, in: in, response: make(chan *http.Response, 1)}
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			_ = out.CloseWithError(err)
			close(b.response)
			return
		}
		b.response <- response
	}()
	return b
}

func (b *stream) write(lines ...string) {
	b.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(b.in, line+"\n"); err != nil {
			b.t.Error(err)
		}
	}
}

// read returns the next answer, nil at the end.
func (b *stream) read() *api.BatchLine {
	b.t.Helper()
	if b.answers == nil {
		response, ok := <-b.response
		if !ok || response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/x-ndjson" {
			b.t.Fatalf("got %v", response)
		}
		b.t.Cleanup(func() { _ = response.Body.Close() })
		b.answers = bufio.NewScanner(response.Body)
		b.answers.Buffer(nil, 1<<20)
	}
	if !b.answers.Scan() {
		return nil
	}
	line := &api.BatchLine{}
	if err := json.Unmarshal(b.answers.Bytes(), line); err != nil {
		b.t.Fatalf("%v: %s", err, b.answers.Text())
	}
	return line
}

func TestBatchAnswersWhileItReads(t *testing.T) {
	s := serve(t, func(o *server.Options) { o.API.Limits = api.Limits{MaxBytes: 2000} })
	b := s.open(t.Context())
	index := 0
	expect := func(category int, kind string) {
		t.Helper()
		a := b.read()
		switch {
		case a == nil || a.Index != index:
			t.Fatalf("answer %d is %+v", index, a)
		case kind == "" && (a.Problem != nil || a.Answer == nil || a.CategoryIndex != category || len(a.Distribution) != 22):
			t.Fatalf("answer %d is %+v", index, a)
		case kind != "" && (a.Answer != nil || a.Problem == nil || a.Problem.Type != "/docs#problem-"+kind):
			t.Fatalf("answer %d is %+v, want %s", index, a, kind)
		}
		index++
	}
	// Each answer comes although the request goes on.
	b.write(`"` + nurse + `"`)
	expect(16, "")
	b.write(`{"id":"a","title":"Kok","text":"Vi søger en kok til vores køkken, der laver mad."}`, "", "  ", `{"text":`, `5`, `null`, `{"text":7}`, `{"text":"?"}`, "\"\xff\"", `"`+strings.Repeat("x", 300_000)+`"`, `{"text":"`+nurse+`","more":{}}`)
	expect(4, "")
	for _, kind := range []string{"malformed", "malformed", "nothing-extracted", "malformed", "nothing-extracted", "malformed", "too-large"} {
		expect(0, kind)
	}
	expect(16, "")
	if _, err := io.WriteString(b.in, `"`+nurse+`"`); err != nil { // the last line may lack its end
		t.Error(err)
	}
	_ = b.in.Close()
	expect(16, "")
	if last := b.read(); last != nil {
		t.Errorf("at the end came %+v", last)
	}
	for _, body := range []string{"", "\n \n"} {
		s.ask("POST", "/v1/batch", body, 400, `there are no lines`)
	}
}

// Thousands of lines are answered in order, and no more of them are under way than a chunk.
func TestBatchOfThousands(t *testing.T) {
	const n = 3000
	var most, now atomic.Int64
	s := serve(t, func(o *server.Options) {
		classify := o.API.Classify
		o.API.Classify = pipeline.NewLimit(func(ctx context.Context, v []*schemas.Vacancy) ([]pipeline.Result, error) {
			most.Store(max(most.Load(), now.Add(int64(len(v)))))
			defer now.Add(-int64(len(v)))
			return classify(ctx, v)
		}, 512).Do
	})
	b := s.open(t.Context())
	go func() {
		for i := range n {
			b.write(fmt.Sprintf(`{"id":"%d","text":%q}`, i, nurse))
		}
		_ = b.in.Close()
	}()
	for i := range n {
		if a := b.read(); a == nil || a.Index != i || a.Answer == nil || a.ID != fmt.Sprint(i) {
			t.Fatalf("answer %d is %+v", i, a)
		}
	}
	if b.read() != nil {
		t.Error("there are more answers than lines")
	}
	if most.Load() > 64 {
		t.Errorf("%d vacancies were under way at once, want at most 64", most.Load())
	}
}

// A stream that finds no room at its beginning is refused; once it has begun it waits.
func TestBatchWaitsForRoom(t *testing.T) {
	var full atomic.Bool
	var refused atomic.Int64
	s := serve(t, func(o *server.Options) {
		classify := o.API.Classify
		o.API.Classify = func(ctx context.Context, v []*schemas.Vacancy) ([]pipeline.Result, error) {
			if full.Load() {
				refused.Add(1)
				return nil, pipeline.ErrOverloaded
			}
			return classify(ctx, v)
		}
	})
	full.Store(true)
	response, _ := s.ask("POST", "/v1/batch", `"`+nurse+`"`, 429, `overloaded`)
	if response.Header.Get("Retry-After") != "1" {
		t.Errorf("the headers are %v", response.Header)
	}
	full.Store(false)
	b := s.open(t.Context())
	b.write(`"` + nurse + `"`)
	if a := b.read(); a == nil || a.Answer == nil {
		t.Fatalf("got %+v", a)
	}
	full.Store(true)
	before := refused.Load()
	b.write(`"` + nurse + `"`)
	for refused.Load() < before+3 {
		time.Sleep(time.Millisecond)
	}
	full.Store(false)
	if a := b.read(); a == nil || a.Answer == nil || a.Index != 1 {
		t.Fatalf("got %+v", a)
	}
	_ = b.in.Close()
	if b.read() != nil {
		t.Error("there are more answers than lines")
	}
}

// A process that is asked to end tells the caller which lines are to be sent again.
func TestBatchEndsWithTheProcess(t *testing.T) {
	s := serve(t, nil)
	b := s.open(t.Context())
	b.write(`"` + nurse + `"`)
	if a := b.read(); a == nil || a.Answer == nil {
		t.Fatalf("got %+v", a)
	}
	s.stop()
	if a := b.read(); a == nil || a.Index != 1 || a.Problem == nil || a.Problem.Status != 503 {
		t.Fatalf("got %+v", a)
	}
	if b.read() != nil {
		t.Error("the stream goes on")
	}
	_ = b.in.Close()
}

func TestEvents(t *testing.T) {
	s := serve(t, func(o *server.Options) { o.API.Heartbeat = time.Millisecond })
	follow := func() (*bufio.Reader, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, "GET", s.url+"/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		if kind := response.Header.Get("Content-Type"); response.StatusCode != 200 || kind != "text/event-stream" {
			t.Fatalf("status %d, content type %q", response.StatusCode, kind)
		}
		return bufio.NewReader(response.Body), cancel
	}
	until := func(r *bufio.Reader, want string) string {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			if strings.HasPrefix(line, want) {
				return line
			}
			if err != nil {
				t.Fatalf("%s did not come: %v", want, err)
			}
		}
	}
	first, leave := follow()
	second, _ := follow()
	until(first, ": nothing")
	s.ask("POST", "/v1/vacancies", `{"id":"a","text":"`+nurse+`"}`, 202, `"a"`)
	s.ask("POST", "/v1/vacancies", `{"id":"b","text":"?"}`, 202, `"b"`)
	for _, r := range []*bufio.Reader{first, second} {
		until(r, "event: classified")
		var e api.Event
		if err := json.Unmarshal([]byte(strings.TrimPrefix(until(r, "data: "), "data: ")), &e); err != nil || e.ID != "a" || e.CategoryIndex != 16 || e.Occupation != "sygeplejerske" {
			t.Errorf("got %+v, %v", e, err)
		}
		until(r, "event: refused")
		until(r, `data: {"kind":"refused"`)
	}
	leave()
	for s.flow.Followers() != 1 {
		time.Sleep(time.Millisecond)
	}
	s.stop()
	if _, err := io.Copy(io.Discard, second); err != nil {
		t.Errorf("the stream ends with %v", err)
	}
	for s.flow.Followers() != 0 {
		time.Sleep(time.Millisecond)
	}
}

// A server's bounds of a request's time are not those of a stream.
func TestStreamsOutlastRequests(t *testing.T) {
	const bound = 200 * time.Millisecond
	s := serve(t, func(o *server.Options) { o.API.Heartbeat = bound / 5 })
	web := httptest.NewUnstartedServer(s.handler)
	web.Config.ReadTimeout, web.Config.WriteTimeout = bound, bound
	web.Config.ReadHeaderTimeout = time.Minute // of the header alone, which is not what is looked at
	web.Start()
	t.Cleanup(web.Close)
	t.Cleanup(s.stop) // before Close, which waits for streams
	s.url = web.URL
	b := s.open(t.Context())
	b.write(`"` + nurse + `"`)
	if a := b.read(); a == nil || a.Answer == nil {
		t.Fatalf("got %+v", a)
	}
	response, err := http.Get(s.url + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	events := bufio.NewScanner(response.Body)
	for beats := 0; beats < 15; { // 600 ms
		if !events.Scan() {
			t.Fatalf("the events end after %d heartbeats: %v", beats, events.Err())
		}
		if events.Text() == ": nothing" {
			beats++
		}
	}
	b.write(`"` + nurse + `"`)
	if a := b.read(); a == nil || a.Answer == nil || a.Index != 1 {
		t.Fatalf("got %+v", a)
	}
	_ = b.in.Close()
	if b.read() != nil {
		t.Error("there are more answers than lines")
	}
}

// Callers of single vacancies and of batches are refused alike when too much is under way, and nothing of it is kept.
func TestOverload(t *testing.T) {
	entered, free := make(chan bool), make(chan bool)
	s := serve(t, func(o *server.Options) {
		classify := o.API.Classify
		o.API.Classify = pipeline.NewLimit(func(ctx context.Context, v []*schemas.Vacancy) ([]pipeline.Result, error) {
			entered <- true
			<-free
			return classify(ctx, v)
		}, 4).Do
	})
	var waiting sync.WaitGroup
	for range 4 {
		waiting.Go(func() { s.ask("POST", "/v1/classify", `{"text":"`+nurse+`"}`, 200, `"categori_idx":16`) })
		<-entered
	}
	for range 100 {
		for _, request := range [][2]string{{"/v1/classify", `{"text":"x"}`}, {"/batch_classify", `["x","y"]`}, {"/v1/batch", `"x"`}, {"/v1/similar", `{"text":"x"}`}} {
			response, _ := s.ask("POST", request[0], request[1], 429, `problem-overloaded`)
			if response.Header.Get("Retry-After") != "1" {
				t.Fatalf("%s: %v", request[0], response.Header)
			}
		}
	}
	close(free)
	waiting.Wait()
	if n := s.flow.Predicted(); n != 4 {
		t.Errorf("%d predictions were kept, want 4", n)
	}
}
