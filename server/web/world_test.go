package web

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/server/access"
	"jobstrom/server/api"
)

// noon is the time of everything in the tests: 27 November 2026, 14.05 in Copenhagen.
var noon = time.Date(2026, 11, 27, 13, 5, 0, 0, time.UTC)

// world is what the pages ask in most tests: the real extractor, and in place of encoder, Kafka and ClickHouse what these would say, always the same.
type world struct {
	t         *testing.T
	taxonomy  *schemas.Taxonomy
	extractor *extract.Extractor
	feed      *feed
	// hostile is put where others' text is shown.
	hostile string

	mu       sync.Mutex
	labels   []*schemas.Label
	champion string
	by       string // who changed the champion, and why
	replayed []api.LetterPlace
	asked    api.SimilarQuery
	fail     error         // what Classify returns
	hold     chan struct{} // Classify waits for it, when it is there
}

// newWorld makes one with a champion, a challenger, alarms, letters and 60 minutes of flow.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, taxonomy: schemas.Jobnet(), feed: &feed{}, champion: "jobnet-2026-11"}
	var err error
	if w.extractor, err = extract.New(extract.Options{Taxonomy: w.taxonomy}); err != nil {
		t.Fatal(err)
	}
	w.feed.stats = api.Stats{Since: noon.Add(-5 * time.Hour), Rate: 41.25, P50: 0.84, P99: 2.31, Total: 1234567, Refused: 12, Connected: true}
	for m := range 60 {
		stat := api.MinuteStat{Minute: noon.Add(time.Duration(m-60) * time.Minute), Categories: make([]uint64, 22)}
		for c := range stat.Categories {
			stat.Categories[c] = uint64(40 * (1 + math.Sin(float64(m+9*c)/7)) / float64(1+c%9))
			stat.Classified += stat.Categories[c]
		}
		w.feed.stats.Minutes = append(w.feed.stats.Minutes, stat)
	}
	return w
}

// say returns text, or in a hostile world something worse.
func (w *world) say(text string) string {
	if w.hostile != "" {
		return w.hostile + text
	}
	return text
}

// sources are the world as the pages see it.
func (w *world) sources() api.Sources {
	return api.Sources{
		Classify: w.classify, Taxonomy: w.taxonomy, Encoder: "e5-small@1f2e",
		Label: func(_ context.Context, l *schemas.Label) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.labels = append(w.labels, l)
			return nil
		},
		Similar: w.similar, Models: w.models, Promote: w.promote, Rollback: w.rollback,
		ModelReport: func(context.Context, string) ([]byte, error) {
			return []byte("<!doctype html><html lang=en><title>Report</title><style>h1{color:red}</style><h1>Training</h1>"), nil
		},
		Drift: w.drift,
		DriftReport: func(_ context.Context, q api.DriftQuery) ([]byte, error) {
			if q.Until.Sub(q.Since) < 48*time.Hour {
				return nil, fmt.Errorf("comparing: %w", api.ErrTooFew)
			}
			return []byte("<!doctype html><html lang=en><title>Report</title><h1>Drift from " + q.Since.UTC().Format(time.RFC3339) + " to " + q.Until.UTC().Format(time.RFC3339) + "</h1>"), nil
		},
		DeadLetters: w.letters, Replay: w.replay, Feed: w.feed,
	}
}

// classify extracts, and lets a hash of the text choose the category, unless it names a profession.
func (w *world) classify(ctx context.Context, vacancies []*schemas.Vacancy) ([]pipeline.Result, error) {
	w.mu.Lock()
	fail, hold := w.fail, w.hold
	w.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fail != nil {
		return nil, fail
	}
	extracted, err := w.extractor.Extract(ctx, vacancies)
	if err != nil {
		return nil, err
	}
	results := make([]pipeline.Result, len(vacancies))
	for i, x := range extracted {
		results[i] = pipeline.Result{Extraction: x.Extraction, Err: x.Err, Source: x.Source, Personal: x.Personal, Model: w.say("jobnet-2026-11"), Vector: embed.Vector{Values: []float32{0.6, 0.8}}}
		if x.Err != nil {
			continue
		}
		hash := fnv.New32()
		hash.Write([]byte(vacancies[i].Text))
		at := int(hash.Sum32() % 22)
		for word, category := range map[string]int{"sygeplejerske": 16, "murer": 1, "softwareudvikler": 6} {
			if strings.Contains(strings.ToLower(vacancies[i].Title+vacancies[i].Text), word) {
				at = category
			}
		}
		p := make([]float32, 22)
		for k := range p {
			p[(at+7*k)%22] = 0.9 * float32(math.Pow(0.1, float64(k)))
		}
		results[i].Prediction = classify.Prediction{Category: at, Confidence: float64(p[at]), Probabilities: p}
	}
	return results, nil
}

func (w *world) similar(_ context.Context, q api.SimilarQuery) ([]api.Neighbour, error) {
	w.mu.Lock()
	w.asked = q
	w.mu.Unlock()
	var found []api.Neighbour
	for i, title := range []string{"Sygeplejerske", "Social- og sundhedsassistent", "Jordemoder", "Lægesekretær"} {
		n := api.Neighbour{
			ID: w.say(fmt.Sprintf("opslag-%04d", 1207+i)), Similarity: 0.93 - 0.07*float64(i), Category: w.taxonomy.Categories[16].Name, CategoryIndex: 16, Confidence: 0.97 - 0.1*float64(i),
			Occupations: []string{w.say(title)}, Tasks: []string{w.say("pleje patienter"), "give medicin", "vejlede pårørende"}, Skills: []string{w.say("autorisation"), "akutte forløb"},
			Source: w.say("jobnet"), PublishedAt: noon.AddDate(0, 0, -3*i),
		}
		if q.Category < 0 || q.Category == n.CategoryIndex {
			found = append(found, n)
		}
	}
	return found, nil
}

func (w *world) models(context.Context) (*api.Models, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := &api.Models{Encoder: w.say("e5-small@1f2e"), History: []api.ModelEvent{
		{At: noon.AddDate(0, 0, -2), Action: "challenge", Model: w.say("jobnet-2026-11b"), Reason: w.say("trænet på efterårets opslag")},
		{At: noon.AddDate(0, 0, -20), Action: "promote", Model: w.say("jobnet-2026-11"), Previous: w.say("jobnet-2026-08"), Reason: w.say("rigtig på flere opslag (McNemar p = 0,003)")},
		{At: noon.AddDate(0, 0, -21), Action: "register", Model: w.say("jobnet-2026-11")},
	}}
	for i, id := range []string{"jobnet-2026-11", "jobnet-2026-11b", "jobnet-2026-08"} {
		m := api.Model{
			ID: w.say(id), TrainedAt: noon.AddDate(0, 0, -21+9*i), Rows: 457824 - uint64(i)*21000, Bytes: 34012, Encoder: "e5-small@1f2e", HasReport: i < 2,
			Metrics:  map[string]float64{"top1": 0.871 + 0.008*float64(i), "top3": 0.962 - 0.002*float64(i), "macro_f1": 0.824 + 0.006*float64(i), "log_loss": 0.412 - 0.01*float64(i), "ece": 0.013 + 0.001*float64(i)},
			Training: map[string]string{w.say("penalty"): w.say("0.003"), "imbalance": "effective"},
		}
		if id == w.champion {
			m.Role, m.LiveSince = "champion", noon.AddDate(0, 0, -20)
		} else if i == 1 {
			m.Role = "challenger"
		}
		all.Models = append(all.Models, m)
	}
	return all, nil
}

func (w *world) promote(_ context.Context, model, expect, reason, by string) (*api.ModelEvent, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if expect != w.say(w.champion) {
		return nil, fmt.Errorf("promoting: %w", api.ErrChanged)
	}
	w.champion, w.by = strings.TrimPrefix(model, w.hostile), by+": "+reason
	return &api.ModelEvent{}, nil
}

func (w *world) rollback(ctx context.Context, expect, reason, by string) (*api.ModelEvent, error) {
	return w.promote(ctx, w.say("jobnet-2026-08"), expect, reason, by)
}

func (w *world) drift(_ context.Context, q api.DriftQuery) (*api.Drift, error) {
	d := &api.Drift{Since: q.Since, Until: q.Until}
	alarm := api.DriftEvent{
		At: noon.Add(-30 * time.Hour), Kind: "raised", Column: "category", Verdict: "drift", Effect: 0.142, Gate: 0.1, Q: 0.0004, Measure: "total variation",
		Current: api.TimeSpan{From: noon.AddDate(0, 0, -7), To: noon, Vacancies: 12480}, Compared: api.TimeSpan{From: noon.AddDate(0, -3, 0), To: noon.AddDate(0, 0, -20), Vacancies: 457824},
		Changes: []api.ShareChange{{Value: w.say("Sundhed, omsorg og personlig pleje"), Reference: 0.15, Current: 0.212}, {Value: "Salg, indkøb og markedsføring", Reference: 0.073, Current: 0.041}},
		Reason:  w.say("category drifted: total variation 0.142 (drift from 0.1), by chance 0.0004"),
	}
	cleared := api.DriftEvent{At: noon.Add(-100 * time.Hour), Kind: "cleared", Column: "text_length", Verdict: "none", Effect: 0.02, Gate: 0.1, Measure: w.say("normed Wasserstein distance"), Reason: w.say("text_length no longer differs: chance explains it")}
	d.Alarms, d.Events = []api.DriftEvent{alarm}, []api.DriftEvent{alarm, cleared}
	if w.hostile != "" {
		cleared.Kind, cleared.Column, cleared.Verdict = w.hostile, w.hostile, w.hostile
		d.Events = append(d.Events, cleared)
	}
	for day := range 14 {
		s := api.Share{From: noon.AddDate(0, 0, day-14), Categories: make([]uint64, 22)}
		for c := range s.Categories {
			s.Categories[c] = uint64(300/(1+c%7)) + uint64(20*math.Abs(math.Sin(float64(day*(c+1)))))
			if c == 16 && day > 6 {
				s.Categories[c] += uint64(40 * (day - 6))
			}
			s.Vacancies += s.Categories[c]
		}
		d.Shares = append(d.Shares, s)
	}
	return d, nil
}

func (w *world) letters(_ context.Context, most int) (*api.DeadLetters, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &api.DeadLetters{}
	for i, l := range []api.Letter{
		{Stage: "extract", Class: "malformed", Reason: "malformed vacancy: text is missing or empty", Attempts: 1},
		{Stage: "classify", Class: "other_encoder", Reason: "the vector is of another encoder", Attempts: 3},
		{Stage: "extract", Class: "nothing_extracted", Reason: "nothing extracted: 3 characters, at least 10 are needed", Attempts: 1, Replays: 1},
	} {
		l.LetterPlace, l.FailedAt, l.State, l.Reason, l.Class = api.LetterPlace{Partition: int32(i), Offset: int64(40 + i)}, noon.Add(-time.Duration(i+1)*time.Hour), "waiting", w.say(l.Reason), w.say(l.Class)
		if i == 2 || slices.Contains(w.replayed, l.LetterPlace) {
			l.State = "replayed"
		} else {
			d.Waiting++
		}
		d.Letters = append(d.Letters, l)
	}
	return d, nil
}

func (w *world) replay(_ context.Context, places []api.LetterPlace) (*api.Replayed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(places) == 0 {
		places = []api.LetterPlace{{Partition: 0, Offset: 40}, {Partition: 1, Offset: 41}}
	}
	r := &api.Replayed{}
	for _, p := range places {
		if slices.Contains(w.replayed, p) {
			r.Skipped++
			continue
		}
		w.replayed = append(w.replayed, p)
		r.Replayed++
	}
	return r, nil
}

// feed is a flow that says what it is told to.
type feed struct {
	mu     sync.Mutex
	stats  api.Stats
	recent []api.Event
	open   []chan api.Event
}

func (f *feed) Subscribe(ctx context.Context) <-chan api.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan api.Event, 64)
	f.open = append(f.open, c)
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if at := slices.Index(f.open, c); at >= 0 {
			f.open = slices.Delete(f.open, at, at+1)
			close(c)
		}
	})
	return c
}

func (f *feed) Recent(most int) []api.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.recent[:min(most, len(f.recent))])
}

func (f *feed) Stats() api.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// happen tells all who listen, and remembers.
func (f *feed) happen(e api.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent = slices.Insert(f.recent, 0, e)
	f.stats.Total++
	for _, c := range f.open {
		c <- e
	}
}

// listeners counts those who listen.
func (f *feed) listeners() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}

// serve starts a server of the pages and the API, put together as package server does.
func serve(t *testing.T, sources api.Sources, guarded access.Options) string {
	t.Helper()
	service, err := api.NewService(api.Options{Sources: sources, Stopping: t.Context(), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	var pages *Pages
	guarded.Refuse = func(w http.ResponseWriter, r *http.Request, refusal *access.Refusal) {
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			api.Refused(refusal).Write(w, r)
			return
		}
		pages.Fail(w, r, refusal)
	}
	guard, err := access.New(t.Context(), guarded)
	if err != nil {
		t.Fatal(err)
	}
	if pages, err = New(service, guard, Options{}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	if err := service.Register(mux); err != nil {
		t.Fatal(err)
	}
	pages.Register(mux)
	mux.HandleFunc("GET /{$}", pages.Front)
	mux.HandleFunc("/", pages.NotFound)
	server := httptest.NewServer(guard.Wrap(mux))
	t.Cleanup(server.Close)
	return server.URL
}

// protect writes a file of tokens, one for each of these scopes and classify, and returns the options of a guard that asks for them.
func protect(t *testing.T, scopes ...access.Scope) (o access.Options, tokens map[access.Scope]string) {
	t.Helper()
	o.Tokens, tokens = filepath.Join(t.TempDir(), "tokens.json"), map[access.Scope]string{}
	err := access.ChangeTokens(o.Tokens, func(all []access.Token) ([]access.Token, error) {
		for _, scope := range scopes {
			given := []access.Scope{access.Classify}
			if scope != access.Classify {
				given = append(given, scope)
			}
			token, secret := access.NewToken(string(scope), given, noon, time.Time{})
			all, tokens[scope] = append(all, token), secret.Reveal()
		}
		return all, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return o, tokens
}

var errBroken = errors.New("the model is gone")

// events are what the feed has seen.
func events(w *world) []api.Event {
	var all []api.Event
	for i, title := range []string{"Sygeplejerske", "Murersvend", "Softwareudvikler", "Pædagog", "Lagermedarbejder", "Kok", "Bogholder", "Elektriker", "Butiksassistent", "Chauffør"} {
		category := w.taxonomy.Categories[[]int{16, 1, 6, 13, 18, 4, 8, 7, 15, 18}[i]]
		e := api.Event{Kind: "classified", At: noon.Add(-time.Duration(7*i) * time.Second), ID: w.say(fmt.Sprintf("opslag-%d", i)), Category: category.Name, CategoryIndex: category.Index, Confidence: 0.98 - 0.04*float64(i), Model: "jobnet-2026-11", Occupation: w.say(title), Seconds: 0.31 + 0.27*float64(i)}
		if i == 4 {
			e = api.Event{Kind: "refused", At: e.At, Stage: "extract", Class: w.say("nothing_extracted"), Reason: w.say("nothing extracted: 3 characters, at least 10 are needed")}
		}
		all = append(all, e)
	}
	return all
}

// cut ends all subscriptions.
func (f *feed) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.open {
		close(c)
	}
	f.open = nil
}

// pipelineOf returns the real three stages.
func pipelineOf(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	p := &pipeline.Pipeline{Live: &classify.Live{}, Taxonomy: schemas.Jobnet()}
	var err error
	if p.Extractor, err = extract.New(extract.Options{Taxonomy: p.Taxonomy}); err != nil {
		t.Fatal(err)
	}
	if p.Encoder, err = embed.New(embed.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	classifier, err := classify.Default(p.Taxonomy, p.Encoder.Card().ID)
	if err != nil {
		t.Fatal(err)
	}
	p.Live.Store(classifier)
	return p
}
