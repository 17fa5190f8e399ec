package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"jobstrom/server/access"
	"jobstrom/server/api"
)

//go:embed templates
var templateFiles embed.FS

// Options configure the pages.
type Options struct {
	// Now is the clock; nil is the machine's.
	Now    func() time.Time
	Logger *slog.Logger
}

// EnsureDefaults fills what is not set.
func (o *Options) EnsureDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Pages answers people. It is safe for concurrent use.
type Pages struct {
	Options
	service   *api.Service
	guard     *access.Guard
	assets    map[string]asset
	languages map[string]*Language
	// templates by language and page: each has what the page fills, layout and piece.
	templates map[string]*template.Template
	examples  []example
}

// New returns the pages of a service. The guard says who may what.
func New(service *api.Service, guard *access.Guard, o Options) (*Pages, error) {
	o.EnsureDefaults()
	p := &Pages{Options: o, service: service, guard: guard, languages: map[string]*Language{}, templates: map[string]*template.Template{}}
	var err error
	if p.assets, err = readAssets(); err != nil {
		return nil, fmt.Errorf("making the pages: %w", err)
	}
	if p.examples, err = readExamples(); err != nil {
		return nil, fmt.Errorf("making the pages: %w", err)
	}
	for _, code := range languages() {
		if p.languages[code], err = newLanguage(code); err != nil {
			return nil, fmt.Errorf("making the pages: %w", err)
		}
		if err := p.parse(p.languages[code]); err != nil {
			return nil, fmt.Errorf("making the pages: %w", err)
		}
	}
	return p, nil
}

// parse reads every page's template in a language. What is in templates/shared is in each.
func (p *Pages) parse(l *Language) error {
	shared, err := template.New("").Funcs(template.FuncMap{
		"t": l.Text, "many": l.Many, "named": l.Named, "number": l.Number, "whole": l.Whole, "percent": l.Percent, "seconds": l.Seconds, "bytes": l.Bytes,
		"day": l.Day, "moment": l.Moment, "short": l.Short, "clock": l.Clock, "minute": l.Minute,
		"code":       func() string { return l.Code },
		"asset":      func(name string) string { return p.assets[name].address },
		"similarity": func(s float64) float64 { return 100 * min(max(s, 0), 1) },
		"list":       func(items []string) string { return strings.Join(items, " · ") },
		"iso":        func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}).ParseFS(templateFiles, "templates/shared/*.html")
	if err != nil {
		return err
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return err
	}
	for _, name := range names {
		page, err := shared.Clone()
		if err != nil {
			return err
		}
		if _, err := page.ParseFS(templateFiles, name); err != nil {
			return err
		}
		p.templates[l.Code+"/"+strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return nil
}

// Register adds the pages' routes. The front page and the page for what there is none of are also Front and NotFound, for whoever has other answers at these addresses.
func (p *Pages) Register(mux *http.ServeMux) {
	route := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, p.handler(h))
	}
	route("GET /static/{file}", p.static)
	route("POST /{$}", p.classify)
	route("POST /fil", p.upload)
	route("POST /rettelse", p.correct)
	route("GET /live", p.live)
	route("POST /live/send-igen", p.replay)
	route("GET /drift", p.drift)
	route("GET /drift/rapport", p.driftReport)
	route("GET /modeller", p.models)
	route("GET /modeller/rapport", p.modelReport)
	route("GET /modeller/tag-i-brug", p.askPromote)
	route("POST /modeller/tag-i-brug", p.promote)
	route("GET /modeller/tilbage", p.askRollback)
	route("POST /modeller/tilbage", p.rollback)
	route("GET /soeg", p.searchPage)
	route("POST /soeg", p.search)
	if p.guard.Protected() {
		route("GET /login", p.loginPage)
		route("POST /login", p.login)
		route("POST /logout", p.logout)
	}
}

// Front is the page at /.
func (p *Pages) Front(w http.ResponseWriter, r *http.Request) { p.handler(p.front)(w, r) }

func (p *Pages) handler(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, p.service.MaxBytes)
		}
		if err := h(w, r); err != nil {
			p.Fail(w, r, err)
		}
	}
}

// view is what every page shows.
type view struct {
	language *Language
	Path     string
	// Switch is this page's address in the Other language.
	Switch, Other string
	Caller        access.Caller
	Protected     bool
	Categories    []string
	// Labels says that people's labels are taken.
	Labels bool
	Body   any
}

// May says whether the caller has a scope: classify, publish or admin.
func (v view) May(scope string) bool { return v.Caller.Has(access.Scope(scope)) }

// Known says whether somebody is logged in.
func (v view) Known() bool { return v.Protected && v.Caller.Name != "" }

// language is that of a request's answer, for what is made before the page is shown.
func (p *Pages) language(r *http.Request) *Language {
	code, _ := chosen(r)
	return p.languages[code]
}

func (p *Pages) view(w http.ResponseWriter, r *http.Request) view {
	code := choose(w, r)
	address, other := switched(r, code)
	return view{
		language: p.languages[code], Path: r.URL.Path, Switch: address, Other: other,
		Caller: access.CallerOf(r.Context()), Protected: p.guard.Protected(), Categories: p.service.Taxonomy.Names(), Labels: p.service.Label != nil,
	}
}

// show writes a page.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, page string, body any) error {
	v := p.view(w, r)
	v.Body = body
	p.write(w, r, http.StatusOK, page, v)
	return nil
}

// pieceHeader is set by the pages' script, which wants the piece of a page that has changed.
const pieceHeader = "X-Piece"

// write writes a page or its piece. Nothing is sent before all of it is made.
func (p *Pages) write(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	name := "layout"
	if r.Header.Get(pieceHeader) != "" {
		name = "piece"
	}
	var out bytes.Buffer
	if err := p.templates[v.language.Code+"/"+page].ExecuteTemplate(&out, name, v); err != nil {
		p.Logger.ErrorContext(r.Context(), "making a page", "page", page, "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.language.Code)
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Cookie, "+pieceHeader)
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

// allow returns why the caller may not do what needs a scope.
func allow(r *http.Request, scope access.Scope) error { return access.Allow(r.Context(), scope) }
