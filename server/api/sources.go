package api

import (
	"context"
	"errors"
	"time"

	"jobstrom/pipeline"
	"jobstrom/schemas"
)

// Sources are what the API asks. Classify, Taxonomy and Encoder are required; any other may be nil, and its routes then answer 503 and say what to start.
type Sources struct {
	// Classify answers vacancies, in order; see pipeline.Limit. Entities and redactions are shown where its results carry their Source.
	Classify func(context.Context, []*schemas.Vacancy) ([]pipeline.Result, error)
	Taxonomy *schemas.Taxonomy
	// Encoder is the identity of the encoder in use.
	Encoder string

	// Record keeps what the API predicted on predictions.api, best effort: it never waits and never fails.
	Record func([]pipeline.Result)
	// Publish writes vacancies to vacancies.raw and returns when Kafka has them.
	Publish func(context.Context, []*schemas.Vacancy) error
	// Label writes a person's label to vacancies.labels and returns when Kafka has it.
	Label func(context.Context, *schemas.Label) error
	// Vacancy says what became of a vacancy. ErrUnknown when nobody has heard of it.
	Vacancy func(ctx context.Context, id string) (*Vacancy, error)
	// Similar finds the vacancies nearest to a vector, the nearest first.
	Similar func(context.Context, SimilarQuery) ([]Neighbour, error)

	// Models lists the registry; the champion first, then challengers, then the rest, the newest first.
	Models func(context.Context) (*Models, error)
	// Promote makes a model the champion, if the champion is still expect; ErrChanged when not. By is who asked.
	Promote func(ctx context.Context, model, expect, reason, by string) (*ModelEvent, error)
	// Rollback makes the champion of before champion again, if the champion is still expect.
	Rollback func(ctx context.Context, expect, reason, by string) (*ModelEvent, error)
	// ModelReport returns the page of a model's training; ErrUnknown when there is none.
	ModelReport func(ctx context.Context, model string) ([]byte, error)

	// Drift returns the watch's events and the categories' shares over time.
	Drift func(context.Context, DriftQuery) (*Drift, error)
	// DriftReport returns the page of a comparison of a window's two halves; ErrTooFew when too little was classified.
	DriftReport func(context.Context, DriftQuery) ([]byte, error)

	// DeadLetters lists letters, the newest first.
	DeadLetters func(ctx context.Context, most int) (*DeadLetters, error)
	// Replay sends waiting letters again: those named, or all.
	Replay func(ctx context.Context, letters []LetterPlace) (*Replayed, error)

	// Feed says what is classified and refused right now.
	Feed Feed
}

// Feed follows the flow.
type Feed interface {
	// Subscribe returns events from now on until ctx ends, when the channel is closed. Who reads too slowly misses events, which the next event counts.
	Subscribe(ctx context.Context) <-chan Event
	// Recent returns what happened last: at most most events, the newest first.
	Recent(most int) []Event
	// Stats returns the flow's figures of the last hour.
	Stats() Stats
}

// Errors of sources, to be wrapped.
var (
	ErrUnknown = errors.New("not known")
	ErrChanged = errors.New("the champion has changed meanwhile: look again")
	ErrTooFew  = errors.New("too few vacancies to compare")
	// ErrAway says that Kafka or ClickHouse cannot be reached now.
	ErrAway = errors.New("is away now")
)

// Event is one vacancy that was classified or refused.
type Event struct {
	// Kind is classified or refused.
	Kind string    `json:"kind" enum:"classified,refused"`
	At   time.Time `json:"at"`
	ID   string    `json:"id,omitempty"`
	// Of a classified vacancy.
	Category      string  `json:"category,omitempty"`
	CategoryIndex int     `json:"category_index"`
	Confidence    float64 `json:"confidence,omitempty" doc:"the highest probability, in [0, 1]"`
	Model         string  `json:"model,omitempty"`
	Occupation    string  `json:"occupation,omitempty" doc:"the most telling job title that was found"`
	Seconds       float64 `json:"seconds,omitempty" doc:"from publication on Kafka to classification"`
	// Of a refused one.
	Stage  string `json:"stage,omitempty"`
	Class  string `json:"class,omitempty" doc:"kind of error; see the catalogue of dead letters"`
	Reason string `json:"reason,omitempty" doc:"quotes no content"`
	Missed uint64 `json:"missed,omitempty" doc:"events that this reader missed before this one, because it reads too slowly"`
}

// Stats are a flow's figures of the last hour. Minutes are the newest last.
type Stats struct {
	Since     time.Time    `json:"since" doc:"when this process began to look"`
	Rate      float64      `json:"rate" doc:"vacancies classified a second, over the last minute"`
	P50       float64      `json:"p50" doc:"seconds from publication to classification that half of the last 1,000 vacancies took at most"`
	P99       float64      `json:"p99"`
	Total     uint64       `json:"total" doc:"classified since then"`
	Refused   uint64       `json:"refused" doc:"refused since then"`
	Minutes   []MinuteStat `json:"minutes"`
	Connected bool         `json:"connected" doc:"Kafka answers"`
}

// MinuteStat counts what was classified in one minute.
type MinuteStat struct {
	Minute     time.Time `json:"minute"`
	Classified uint64    `json:"classified"`
	Refused    uint64    `json:"refused"`
	Categories []uint64  `json:"categories" doc:"one for each category, in index order"`
}

// Vacancy is what became of a vacancy that was published.
type Vacancy struct {
	ID    string `json:"id"`
	State string `json:"state" enum:"received,classified,refused,erased"`
	// Of a classified vacancy.
	Classification *Classification `json:"classification,omitempty"`
	// Of a refused one.
	Stage  string `json:"stage,omitempty"`
	Class  string `json:"class,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Label is the category a person gave, when one did.
	Label      *Label    `json:"label,omitempty"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
}

// Classification is a stored prediction.
type Classification struct {
	Category      string    `json:"category"`
	CategoryIndex int       `json:"category_index"`
	Confidence    float64   `json:"confidence"`
	Probabilities []float64 `json:"probabilities" doc:"one for each category, in index order"`
	Occupations   []string  `json:"occupations,omitempty"`
	Skills        []string  `json:"skills,omitempty"`
	Tasks         []string  `json:"tasks,omitempty"`
	Model         string    `json:"model"`
	Encoder       string    `json:"encoder"`
	ClassifiedAt  time.Time `json:"classified_at"`
}

// Label is the category a person gave.
type Label struct {
	Category      string    `json:"category"`
	CategoryIndex int       `json:"category_index"`
	Source        string    `json:"source"`
	LabelledAt    time.Time `json:"labelled_at"`
}

// SimilarQuery asks for the vacancies whose vectors are nearest.
type SimilarQuery struct {
	// Vector has unit length; it was made by Sources.Encoder.
	Vector []float32
	// Category bounds the answer to one category; -1 takes all.
	Category int
	// Since and Until bound the time of publication; zero is open.
	Since, Until time.Time
	// Most is how many to return, 1 to 100.
	Most int
}

// Neighbour is a vacancy near a vector.
type Neighbour struct {
	ID            string    `json:"id"`
	Similarity    float64   `json:"similarity" doc:"cosine, in [-1, 1]"`
	Category      string    `json:"category"`
	CategoryIndex int       `json:"category_index"`
	Confidence    float64   `json:"confidence"`
	Occupations   []string  `json:"occupations,omitempty"`
	Skills        []string  `json:"skills,omitempty"`
	Tasks         []string  `json:"tasks,omitempty"`
	Source        string    `json:"source,omitempty"`
	PublishedAt   time.Time `json:"published_at"`
}

// Models is the registry.
type Models struct {
	Encoder string       `json:"encoder"`
	Models  []Model      `json:"models"`
	History []ModelEvent `json:"history" doc:"what was done, the newest first"`
}

// Model is a classifier in the registry.
type Model struct {
	ID        string             `json:"id"`
	Role      string             `json:"role,omitempty" enum:"champion,challenger,"`
	LiveSince time.Time          `json:"live_since,omitzero"`
	TrainedAt time.Time          `json:"trained_at,omitzero"`
	Rows      uint64             `json:"rows,omitempty" doc:"labelled vacancies it was trained on"`
	Bytes     int                `json:"bytes"`
	Metrics   map[string]float64 `json:"metrics,omitempty" doc:"measured on vacancies that were not trained on"`
	Training  map[string]string  `json:"training,omitempty"`
	Encoder   string             `json:"encoder"`
	HasReport bool               `json:"has_report"`
}

// ModelEvent says what was done to a model.
type ModelEvent struct {
	At       time.Time `json:"at"`
	Action   string    `json:"action"`
	Model    string    `json:"model"`
	Previous string    `json:"previous,omitempty"`
	Reason   string    `json:"reason,omitempty"`
}

// DriftQuery chooses a time, by when vacancies were published.
type DriftQuery struct {
	Since, Until time.Time
}

// Drift is what the watch saw.
type Drift struct {
	Since  time.Time    `json:"since"`
	Until  time.Time    `json:"until"`
	Alarms []DriftEvent `json:"alarms" doc:"alarms that stand"`
	Events []DriftEvent `json:"events" doc:"the newest first"`
	Shares []Share      `json:"shares" doc:"the categories' vacancies over time, the oldest first"`
}

// DriftEvent is an alarm that was raised or cleared, or what was done about it.
type DriftEvent struct {
	At       time.Time     `json:"at"`
	Kind     string        `json:"kind"`
	Column   string        `json:"column"`
	Verdict  string        `json:"verdict,omitempty"`
	Effect   float64       `json:"effect"`
	Measure  string        `json:"measure,omitempty" doc:"what effect is"`
	Gate     float64       `json:"gate" doc:"from which effect on the verdict is drift"`
	Q        float64       `json:"q" doc:"how often chance makes such a difference, corrected for the number of columns"`
	Current  TimeSpan      `json:"current"`
	Compared TimeSpan      `json:"reference"`
	Changes  []ShareChange `json:"changes,omitempty"`
	Reason   string        `json:"reason,omitempty"`
}

// TimeSpan is a window and how many vacancies it holds.
type TimeSpan struct {
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Vacancies uint64    `json:"vacancies"`
}

// ShareChange is what became of one value's share.
type ShareChange struct {
	Value     string  `json:"value"`
	Reference float64 `json:"reference"`
	Current   float64 `json:"current"`
}

// Share counts a step of time, an hour or a day.
type Share struct {
	From       time.Time `json:"from"`
	Vacancies  uint64    `json:"vacancies"`
	Categories []uint64  `json:"categories" doc:"one for each category, in index order"`
}

// DeadLetters are records that a stage refused.
type DeadLetters struct {
	Waiting int      `json:"waiting" doc:"letters that can be replayed"`
	Letters []Letter `json:"letters"`
}

// Letter is one of them, without its content.
type Letter struct {
	LetterPlace
	Stage    string    `json:"stage"`
	Class    string    `json:"class"`
	Reason   string    `json:"reason"`
	State    string    `json:"state" enum:"waiting,replayed,erased,copy"`
	FailedAt time.Time `json:"failed_at"`
	Attempts uint32    `json:"attempts"`
	Replays  uint32    `json:"replays"`
}

// LetterPlace is where a letter lies on vacancies.deadletter.
type LetterPlace struct {
	Partition int32 `json:"partition" minimum:"0"`
	Offset    int64 `json:"offset" minimum:"0"`
}

// Replayed says what became of letters that were to be sent again.
type Replayed struct {
	Replayed int            `json:"replayed"`
	Skipped  int            `json:"skipped" doc:"replayed before"`
	Refused  map[string]int `json:"refused,omitempty" doc:"not sent, by reason"`
}
