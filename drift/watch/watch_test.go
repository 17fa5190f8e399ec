package watch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/drift"
	"jobstrom/embedded/clickhousetest"
	"jobstrom/health"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

func TestMain(m *testing.M) { os.Exit(clickhousetest.Main(m, "")) }

func openInstalled(t *testing.T) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Database: clickhousetest.Database(t), CreateDatabase: true, DialTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := errors.Join(w.Migrate(t.Context(), nil), drift.Install(t.Context(), w)); err != nil {
		t.Fatal(err)
	}
	return w
}

// begin is when the test's vacancies begin.
var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func day(n int) time.Time { return begin.AddDate(0, 0, n) }

// publish makes 40 vacancies a day, from the first day until before the last; of those a share is in sales, the others are of three categories alike.
func publish(t *testing.T, w *warehouse.Warehouse, first, last int, sales float64) {
	t.Helper()
	random := rand.New(rand.NewPCG(7, uint64(first)))
	var embeddings []warehouse.EmbeddingRow
	var predictions []warehouse.PredictionRow
	for d := first; d < last; d++ {
		for i := range 40 {
			index := 1 + random.IntN(3)
			if random.Float64() < sales {
				index = 0
			}
			c := warehouse.Coordinates{TopicID: uuid.UUID{1}, Offset: int64(d*1000 + i)}
			id, at := fmt.Sprint("v", c.Offset), day(d).Add(time.Duration(i)*30*time.Minute)
			vector := make([]float32, 8)
			for j := range vector {
				vector[j] = float32(random.NormFloat64())
			}
			vector[index] += 3
			chances := []float32{.1, .1, .1, .1}
			chances[index] = .7
			embeddings = append(embeddings, warehouse.EmbeddingRow{
				Coordinates: c, ReceivedAt: at, VacancyID: id, Encoder: "e1", Vector: vector, Tokens: uint32(80 + random.IntN(40)), Source: "test", Language: "da",
				TextLength: uint32(900 + random.IntN(200)), PublishedAt: at,
			})
			predictions = append(predictions, warehouse.PredictionRow{
				Coordinates: c, ReceivedAt: at, VacancyID: id, Encoder: "e1", Model: "m1", CategoryIndex: uint16(index), Category: []string{"Salg", "Ledelse", "It", "Sundhed"}[index],
				Confidence: .7, Probabilities: chances, PublishedAt: at, ClassifiedAt: at,
			})
		}
	}
	if err := errors.Join(w.InsertEmbeddings(t.Context(), embeddings), w.InsertPredictions(t.Context(), predictions)); err != nil {
		t.Fatal(err)
	}
}

// watched is a watch whose clock is set by hand, and the topic.
type watched struct {
	*watch
	t     *testing.T
	now   time.Time
	topic []*schemas.DriftEvent
	away  error // of the topic

	registry *prometheus.Registry
}

func start(t *testing.T, w *warehouse.Warehouse, change func(*Options)) *watched {
	t.Helper()
	s := &watched{t: t, registry: prometheus.NewRegistry()}
	o := Options{
		Warehouse: w, Current: "last 3d", Reference: "before", Registerer: s.registry, Version: "test",
		Publish: func(_ context.Context, e *schemas.DriftEvent) error {
			if s.away == nil {
				s.topic = append(s.topic, e)
			}
			return s.away
		},
	}
	if change != nil {
		change(&o)
	}
	o.Now = func() time.Time { return s.now }
	var err error
	if s.watch, err = newWatch(o); err != nil {
		t.Fatal(err)
	}
	return s
}

// metric returns what Prometheus would read, of one value of the label where there is one.
func (s *watched) metric(name, label string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	s.t.Fatalf("%s of %s is not served", name, label)
	return 0
}

// at is one round of Run at a moment.
func (s *watched) at(now time.Time) *Evaluation {
	s.t.Helper()
	s.now = now
	e, err := s.evaluate(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.retrain(s.t.Context())
	s.deliver(s.t.Context())
	return e
}

// said is what lies on the topic, an event a line.
func (s *watched) said() string {
	var lines []string
	for _, e := range s.topic {
		lines = append(lines, strings.TrimSpace(fmt.Sprintln(e.At.AsTime().Format("01-02"), e.Kind, e.Column, e.Model)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A shift that comes and goes is one alarm that is raised and cleared, in ClickHouse, on the topic and in the gauges, whatever ends the watch meanwhile.
func TestOneShiftOneAlarm(t *testing.T) {
	w := openInstalled(t)
	publish(t, w, 0, 20, .25)
	publish(t, w, 20, 30, .75)
	publish(t, w, 30, 50, .25)
	s := start(t, w, func(o *Options) {
		o.Reference, o.RaiseAfter, o.ClearAfter = "2026-01-01..2026-01-15", 48*time.Hour, 48*time.Hour
	})
	for d := 18; d <= 26; d += 2 {
		s.at(day(d))
	}
	raised := s.said()
	if raised != "01-25 raised category\n01-25 raised embedding" {
		t.Fatalf("while it shifted: %s", raised)
	}
	if got := s.metric("jobstrom_drift_alarm", "category"); got != 1 {
		t.Errorf("the gauge of the alarm is %v", got)
	}
	if got := s.metric("jobstrom_drift_verdict", "category"); got != 2 {
		t.Errorf("the gauge of the verdict is %v", got)
	}
	again := start(t, w, func(o *Options) { registry := o.Registerer; *o = s.Options; o.Registerer = registry }) // another process, or the same after a restart
	for d := 28; d <= 46; d += 2 {
		again.at(day(d))
		if d == 32 {
			again.at(day(d))
			again.at(day(d))
		}
	}
	if got, want := s.said(), raised+"\n02-04 cleared category\n02-04 cleared embedding"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := again.metric("jobstrom_drift_alarm", "category"); got != 0 {
		t.Errorf("the gauge of the alarm is %v", got)
	}
	events, err := w.ReadDriftEvents(t.Context(), warehouse.DriftEventFilter{})
	if err != nil || len(events) != 4 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for _, e := range events {
		if e.PublishedAt.IsZero() || e.CalledAt.IsZero() || e.Watch != "last 3d against 2026-01-01..2026-01-15" || e.ReferenceVacancies != 15*40 || e.CurrentVacancies != 3*40 || e.Reason == "" {
			t.Errorf("got %+v", e)
		}
	}
	first := s.topic[0]
	if first.Column != "category" || len(first.Changes) != 4 || first.Changes[0].Value != "Salg" || first.Effect < first.Gate || first.Alarm != first.Id || !strings.Contains(first.Reason, "Salg 2") {
		t.Errorf("got %v", first)
	}
}

// What Kafka or the webhook does not take is delivered later, also by another process, in order; neither holds up the other's.
func TestDeliveries(t *testing.T) {
	w := openInstalled(t)
	publish(t, w, 0, 15, .25)
	publish(t, w, 15, 30, .75)
	hook := serveHook(t)
	options := func(o *Options) {
		o.Reference, o.Webhook = "2026-01-01..2026-01-15", hook.webhook()
	}
	undelivered := func() (n int) {
		t.Helper()
		events, err := w.ReadDriftEvents(t.Context(), warehouse.DriftEventFilter{Undelivered: true})
		if err != nil {
			t.Fatal(err)
		}
		return len(events)
	}
	s := start(t, w, options)
	s.away = errors.New("Kafka is away")
	s.at(day(20))
	if len(s.topic)+len(hook.got) != 0 || undelivered() != 2 {
		t.Fatalf("%d on the topic, %d called, %d undelivered: the webhook hears of what is on the topic", len(s.topic), len(hook.got), undelivered())
	}
	hook.answer(503)
	s = start(t, w, options)
	s.at(day(21))
	if len(s.topic) != 2 || hook.calls != 1 || undelivered() != 2 {
		t.Fatalf("%d on the topic, %d calls, %d undelivered: one call says that the webhook is away", len(s.topic), hook.calls, undelivered())
	}
	hook.answer(200)
	s = start(t, w, options)
	s.at(day(22))
	if len(s.topic) != 0 || len(hook.got) != 2 || undelivered() != 0 || hook.got[0].Kind != Raised || hook.got[0].Id == hook.got[1].Id {
		t.Fatalf("%d on the topic again, %d called, %d undelivered", len(s.topic), len(hook.got), undelivered())
	}
	s.at(day(23))
	if len(hook.got) != 2 {
		t.Errorf("%d called: what was taken is not offered again", len(hook.got))
	}
}

// Two watches that see the same raise one alarm.
func TestTwoWatches(t *testing.T) {
	w := openInstalled(t)
	publish(t, w, 0, 15, .25)
	publish(t, w, 15, 30, .75)
	alike := func(o *Options) { o.Reference = "2026-01-01..2026-01-15" }
	first, second := start(t, w, alike), start(t, w, alike)
	first.now, second.now = day(20), day(20).Add(20*time.Minute) // the same hour
	for _, s := range []*watched{first, second} {                // both compare before either writes
		c, err := drift.Compare(t.Context(), w, drift.Options{
			Reference: drift.Window{From: day(0), To: day(15)}, Current: drift.Window{From: day(17), To: day(20)}, Alarms: s.Alarms, VerdictsOnly: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, column := range c.Columns {
			if column.Name == "category" {
				if err := s.write(t.Context(), []warehouse.DriftEventRow{s.raise(c, column, s.Now())}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	first.deliver(t.Context())
	second.deliver(t.Context())
	if got := first.said() + second.said(); got != "01-21 raised category" {
		t.Errorf("got %s", got)
	}
	other := start(t, w, func(o *Options) { o.Reference, o.Current = "2026-01-01..2026-01-15", "last 4d" })
	other.at(day(20))
	if got := other.said(); got != "01-21 raised category\n01-21 raised embedding" {
		t.Errorf("a watch of other windows has alarms of its own, got %s", got)
	}
}

// An alarm asks for a training; what comes of it is told, and no training follows another too soon or a promotion that answered all.
func TestRetraining(t *testing.T) {
	w := openInstalled(t)
	publish(t, w, 0, 15, .25)
	publish(t, w, 15, 40, .75)
	asked, training, failure := []string{}, Training{}, errors.New("no labelled vacancies")
	s := start(t, w, func(o *Options) {
		o.Reference, o.RetrainEvery = "2026-01-01..2026-01-15", 48*time.Hour
		o.Retrain = func(_ context.Context, reason string) (Training, error) {
			asked = append(asked, reason)
			return training, failure
		}
	})
	want := []string{
		"01-21 failed category", "01-21 failed embedding", "01-21 raised category", "01-21 raised embedding", "01-21 retraining category", "01-21 retraining embedding",
	}
	f := func(d int, trainings int, more ...string) {
		t.Helper()
		s.at(day(d))
		want = append(want, more...)
		slices.Sort(want)
		if got := s.said(); got != strings.Join(want, "\n") || len(asked) != trainings {
			t.Fatalf("on day %d: %q, got %s\nwant %s", d, asked, got, strings.Join(want, "\n"))
		}
	}
	f(20, 1)
	f(21, 1)
	training, failure = Training{Model: "m2", Why: "it is right on 7 of 9, the champion on 8"}, nil
	f(23, 2, "01-24 retraining category", "01-24 retraining embedding", "01-24 kept category m2", "01-24 kept embedding m2")
	training = Training{Model: "m3", Promoted: true, Why: "it is right on 9 of 9, the champion on 8"}
	f(26, 3, "01-27 retraining category", "01-27 retraining embedding", "01-27 promoted category m3", "01-27 promoted embedding m3")
	f(30, 3)
	f(34, 3)
	if !strings.Contains(asked[0], "drift of category since 2026-01-21T00:00:00Z and of 1 more column") {
		t.Errorf("asked because of %s", asked[0])
	}
	events, err := w.ReadDriftEvents(t.Context(), warehouse.DriftEventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	reasons := ""
	for _, e := range events {
		reasons += e.Kind + ": " + e.Reason + "\n"
	}
	for _, part := range []string{"failed: no labelled vacancies", "kept: it is right on 7 of 9", "promoted: it is right on 9 of 9"} {
		if !strings.Contains(reasons, part) {
			t.Errorf("%q is not told: %s", part, reasons)
		}
	}
}

// Windows that cannot be compared raise nothing, say why, and leave open alarms open.
func TestNothingToCompare(t *testing.T) {
	w := openInstalled(t)
	s := start(t, w, nil)
	f := func(d int, want string) {
		t.Helper()
		e := s.at(day(d))
		if !strings.Contains(e.Nothing, want) || e.Comparison != nil || s.metric("jobstrom_drift_verdict", "category") != -1 {
			t.Errorf("day %d: got %q, %v", d, e.Nothing, s.metric("jobstrom_drift_verdict", "category"))
		}
	}
	f(20, "ClickHouse holds no embeddings yet")
	publish(t, w, 0, 20, .5)
	f(100, "the reference window 2026-03-27..2026-04-07 holds no vacancy")
	s.Options.Reference = "model"
	reference, err := drift.ParseReference("model", s.now)
	if err != nil {
		t.Fatal(err)
	}
	s.reference = reference
	e := s.at(day(18)) // no model was promoted: the time before
	if e.Comparison == nil || e.Comparison.Reference != (drift.Window{From: day(3), To: day(15)}) {
		t.Errorf("got %+v", e)
	}
	if s.said() != "" {
		t.Errorf("raised %s", s.said())
	}
}

// A watch goes on over what ClickHouse and Kafka refuse, and ends with its context.
func TestRun(t *testing.T) {
	w := openInstalled(t)
	publish(t, w, 0, 15, .25)
	publish(t, w, 15, 30, .75)
	if err := w.Conn().Exec(t.Context(), "RENAME TABLE prediction_rows TO away"); err != nil {
		t.Fatal(err)
	}
	board, refusals, told := &health.Board{}, make(chan struct{}, 1000), make(chan *schemas.DriftEvent, 100)
	s := start(t, w, func(o *Options) {
		o.Reference, o.Board = "2026-01-01..2026-01-15", board
		kafka := o.Publish
		o.Publish = func(ctx context.Context, e *schemas.DriftEvent) error {
			if refusals <- struct{}{}; len(refusals) < 3 {
				return errors.New("Kafka is away")
			}
			told <- e
			return kafka(ctx, e)
		}
	})
	clock := time.Now() // it begins on the 20th day
	s.Options.Now = func() time.Time { return day(20).Add(time.Since(clock)) }
	s.pause = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.run(ctx)
	}()
	until := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Minute); !is(); <-time.After(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not in 3 minutes: %s", what)
			}
		}
	}
	until("evaluations fail", func() bool { return s.metric("jobstrom_drift_evaluations_total", failed) >= 2 })
	if err := w.Conn().Exec(t.Context(), "RENAME TABLE away TO prediction_rows"); err != nil {
		t.Fatal(err)
	}
	until("both events are on the topic", func() bool { return len(told) >= 2 }) // one may be told again
	until("nothing is undelivered", func() bool { return s.metric("jobstrom_drift_undelivered_events", "") == 0 })
	if len(board.Problems()) > 0 {
		t.Errorf("problems remain: %v", board.Problems())
	}
	cancel()
	<-ended
	events := map[string]bool{}
	for range len(told) {
		events[(<-told).Id] = true
	}
	if len(events) != 2 {
		t.Errorf("%d events were told, want 2", len(events))
	}
	for _, broken := range []Options{{}, {Current: "2024"}, {Reference: "x"}, {Every: time.Second}, {RaiseAfter: -1}, {RetrainEvery: 1}, {Webhook: &Webhook{}}} {
		if err := Run(t.Context(), broken); err == nil {
			t.Errorf("%+v is accepted", broken)
		}
	}
}

// Once raises by itself and says what is open.
func TestOnce(t *testing.T) {
	w := openInstalled(t)
	publish(t, w, 0, 15, .25)
	publish(t, w, 15, 30, .75)
	for range 2 {
		e, err := Once(t.Context(), Options{
			Warehouse: w, Current: "last 3d", Reference: "2026-01-01..2026-01-15", Now: func() time.Time { return day(20) },
			Publish: func(context.Context, *schemas.DriftEvent) error { return errors.New("away") },
		})
		if err != nil || len(e.Open) != 2 || !e.Undelivered || e.Comparison == nil {
			t.Fatalf("%+v, %v", e, err)
		}
	}
}

// A process that begins anew every day raises and clears when one does that never ends.
func TestRestarts(t *testing.T) {
	said := map[bool]string{}
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprint("restarts ", restarts), func(t *testing.T) {
			w := openInstalled(t)
			publish(t, w, 0, 20, .25)
			publish(t, w, 20, 26, .75)
			publish(t, w, 26, 36, .25)
			rules := func(o *Options) {
				o.Reference, o.RaiseAfter, o.ClearAfter = "2026-01-01..2026-01-15", 48*time.Hour, 72*time.Hour
			}
			s := start(t, w, rules)
			for d := 18; d <= 33; d++ {
				if restarts {
					topic := s.topic
					s = start(t, w, rules)
					s.topic = topic
				}
				s.at(day(d))
			}
			said[restarts] = s.said()
		})
	}
	if strings.Count(said[false], "raised") != 2 || strings.Count(said[false], "cleared") != 2 || said[true] != said[false] {
		t.Errorf("with restarts:\n%s\nwithout:\n%s", said[true], said[false])
	}
}
