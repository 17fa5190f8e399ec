package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options configure the API.
type Options struct {
	Sources
	Limits
	// Stopping ends when the process is asked to end: streams then end, too. Nil never does.
	Stopping context.Context
	// Version of the API's description; empty is dev.
	Version string
	// Now is the time at which drift is looked at; nil is time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// Limits bound a request.
type Limits struct {
	// MaxBytes of a request's body, default 16 MiB.
	MaxBytes int64
	// MaxTexts in one batch, default 256. A stream of lines (/v1/batch) may hold any number.
	MaxTexts int
	// Heartbeat is the longest silence of an event stream, default 15 s.
	Heartbeat time.Duration
}

// EnsureDefaults fills what is zero.
func (l *Limits) EnsureDefaults() {
	if l.MaxBytes == 0 {
		l.MaxBytes = 16 << 20
	}
	if l.MaxTexts == 0 {
		l.MaxTexts = 256
	}
	if l.Heartbeat == 0 {
		l.Heartbeat = 15 * time.Second
	}
}

// Validate reports every violation.
func (l *Limits) Validate() error {
	var wrong []error
	if l.MaxBytes < 1 {
		wrong = append(wrong, fmt.Errorf("option MaxBytes (%d) must be at least 1", l.MaxBytes))
	}
	if l.MaxTexts < 1 {
		wrong = append(wrong, fmt.Errorf("option MaxTexts (%d) must be at least 1", l.MaxTexts))
	}
	if l.Heartbeat < 0 {
		wrong = append(wrong, fmt.Errorf("option Heartbeat (%s) must not be negative", l.Heartbeat))
	}
	return errors.Join(wrong...)
}

// Service answers what the API and the web pages ask. Its methods may be called at once.
type Service struct {
	Options
}

// NewService returns a service of these sources.
func NewService(o Options) (*Service, error) {
	o.EnsureDefaults()
	if o.Classify == nil || o.Taxonomy == nil || o.Encoder == "" {
		return nil, errors.New("making the API: it needs something that classifies, a taxonomy and an encoder")
	}
	if err := o.Limits.Validate(); err != nil {
		return nil, fmt.Errorf("making the API: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stopping == nil {
		o.Stopping = context.Background()
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	return &Service{Options: o}, nil
}

// Answer is what the API says of a vacancy. Its first four fields are the reference system's.
type Answer struct {
	CategoryLabel        string    `json:"categori_label" doc:"name of the most probable category"`
	CategoryIndex        int       `json:"categori_idx" minimum:"0" maximum:"21"`
	Distribution         []float64 `json:"probability_distribution" doc:"one probability for each category, in index order; they sum to 1"`
	FrontendErrorMessage *string   `json:"frontend_error_message" doc:"in Danish, for the one who reads the page; null when there is none"`

	ID          string    `json:"id" doc:"the vacancy's, given or made from its content; feedback names it"`
	Confidence  float64   `json:"confidence" doc:"the highest probability"`
	Occupations []string  `json:"occupations,omitempty"`
	Skills      []string  `json:"skills,omitempty"`
	Tasks       []string  `json:"tasks,omitempty"`
	Entities    []Entity  `json:"entities,omitempty"`
	Redactions  []Removal `json:"redactions,omitempty" doc:"personal data that was left out, never itself"`
	Model       string    `json:"model"`
	Encoder     string    `json:"encoder"`
	Truncated   bool      `json:"truncated" doc:"the text had more tokens than the encoder reads"`
	Timings     Timings   `json:"timings"`
}

// Entity is a part of the vacancy that means something. Places are code points of the source text: title, two line feeds, text, both cleaned of markup.
type Entity struct {
	Label string  `json:"label"`
	Text  string  `json:"text"`
	Start int     `json:"start"`
	End   int     `json:"end" doc:"behind the last code point; start and end are 0 where it was put together from several places"`
	Score float64 `json:"score"`
	By    string  `json:"by" doc:"rules or gliner2"`
}

// Removal is a place where personal data stood.
type Removal struct {
	Kind  string `json:"kind" doc:"cpr, phone, email, …"`
	Start int    `json:"start"`
	End   int    `json:"end"`
}

// Timings are in milliseconds.
type Timings struct {
	Total float64 `json:"total_ms"`
}
