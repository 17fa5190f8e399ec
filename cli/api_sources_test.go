package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/drift"
	"jobstrom/kafka"
	"jobstrom/pipeline"
	"jobstrom/schemas"
	"jobstrom/server/api"
	"jobstrom/warehouse"
)

func TestReceipts(t *testing.T) {
	var r receipts
	now := time.Now()
	has := func(id string, want bool) {
		t.Helper()
		if _, here := r.at(id); here != want {
			t.Errorf("%s: got %v, want %v", id, here, want)
		}
	}
	has("a", false)
	r.add("old", now.Add(-receiptsFor-time.Second))
	has("old", false)
	r.add("a", now.Add(-time.Minute))
	r.add("a", now)
	for i := range mostReceipts - 1 {
		r.add(fmt.Sprint(i), now)
	}
	has("a", true) // the first of its two is forgotten, not the second
	has("0", true)
	r.add("next", now)
	has("a", false)
	has(fmt.Sprint(mostReceipts-2), true)
	if len(r.when) > mostReceipts || len(r.order) > mostReceipts {
		t.Errorf("%d and %d are remembered, the limit is %d", len(r.when), len(r.order), mostReceipts)
	}
}

// What is no identity of a model is no part of a path.
func TestModelPage(t *testing.T) {
	c := Config{Data: "var"}
	id := strings.Repeat("0a", 32)
	if path, ok := c.modelPage(id); !ok || path != "var/models/"+id+".html" {
		t.Errorf("got %s, %v", path, ok)
	}
	for _, bad := range []string{"", "..", "../../etc/passwd", id[:63], id + "0", strings.ToUpper(id), id[:60] + "/../", id[:63] + "\x00", id + "\n"} {
		if _, ok := c.modelPage(bad); ok {
			t.Errorf("%q is taken for a model", bad)
		}
	}
}

func TestHalves(t *testing.T) {
	at := func(hours float64) time.Time { return noon.Add(time.Duration(hours * float64(time.Hour))) }
	f := func(since, until float64, want string) {
		t.Helper()
		reference, current, err := halves(api.DriftQuery{Since: at(since), Until: at(until)})
		if want == "" {
			if !errors.Is(err, api.ErrTooFew) {
				t.Errorf("%v to %v: got %v, want too few", since, until, err)
			}
			return
		}
		if got := fmt.Sprint(reference, " ", current); err != nil || got != want {
			t.Errorf("%v to %v: got %s (%v), want %s", since, until, got, err, want)
		}
	}
	f(0, 2, "2026-03-14T12:00..2026-03-14T13:00 2026-03-14T13:00..2026-03-14T14:00")
	f(.5, 2.5, "2026-03-14T12:00..2026-03-14T13:00 2026-03-14T13:00..2026-03-14T15:00")
	f(-12, 36, "2026-03-14 2026-03-15")
	f(0, 1, "")
	f(.2, .3, "")
	f(-3e6, 10, "") // years before 1900
}

// awaySources ask a Kafka and a ClickHouse that nobody answers for.
func awaySources(t *testing.T) (*apiSources, *strings.Builder) {
	t.Helper()
	const address = "127.0.0.1:1"
	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{address}, Lazy: true})
	must(t, err)
	t.Cleanup(func() { _ = w.Close() })
	o := kafka.Options{Brokers: []string{address}}
	client, err := kafka.NewClient(o, kgo.RecordDeliveryTimeout(time.Second), kgo.AllowIdempotentProduceCancellation())
	must(t, err)
	t.Cleanup(client.Close)
	log := &strings.Builder{}
	f := &flow{app: &app{log: slog.New(slog.NewTextHandler(log, nil))}, kafka: o, warehouse: w, encoder: "e5", pipeline: &pipeline.Pipeline{Taxonomy: schemas.Jobnet()}}
	return &apiSources{flow: f, publisher: client}, log
}

// Kafka or ClickHouse away is said as such, without an address; the log has it.
func TestSourcesAway(t *testing.T) {
	s, log := awaySources(t)
	f := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, api.ErrAway) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: got %v, want that it is away", what, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // as a caller who waits no longer
	defer cancel()
	f("publishing", s.publish(ctx, []*schemas.Vacancy{{Id: "a", Text: "kok"}}))
	if _, here := s.receipts.at("a"); here {
		t.Error("what Kafka has not is remembered as received")
	}
	f("a label", s.label(ctx, &schemas.Label{Id: "a", Category: "Ledelse"}))
	_, err := s.models(ctx)
	f("models", err)
	_, err = s.lettersOnKafka(ctx, 1)
	f("letters", err)
	_, err = s.vacancy(t.Context(), "a")
	f("a vacancy", err)
	_, err = s.similar(t.Context(), api.SimilarQuery{Vector: []float32{1}, Category: -1, Most: 1})
	f("similar", err)
	_, err = s.driftSeen(t.Context(), api.DriftQuery{Since: noon, Until: noon.Add(time.Hour)})
	f("drift", err)
	_, err = s.lettersInWarehouse(t.Context(), 1)
	f("letters in ClickHouse", err)
	if said := log.String(); !strings.Contains(said, "Kafka does not answer") || !strings.Contains(said, "ClickHouse does not answer") {
		t.Errorf("the log lacks what happened: %s", said)
	}
	f("tables that are not there", s.warehouseAway(ctx, fmt.Errorf("counting: %w", &clickhouse.Exception{Code: codeUnknownTable})))
	for _, other := range []error{&clickhouse.Exception{Code: 241}, errors.New("a defect"), kafka.ErrDenied} {
		if err := s.warehouseAway(t.Context(), other); errors.Is(err, api.ErrAway) {
			t.Errorf("%v is taken for being away", other)
		}
		if err := s.away(t.Context(), other); errors.Is(err, api.ErrAway) {
			t.Errorf("%v is taken for being away", other)
		}
	}
	gone, goneNow := context.WithCancel(t.Context())
	goneNow()
	if err := s.away(gone, io.EOF); errors.Is(err, api.ErrAway) {
		t.Error("a caller who went away is taken for Kafka being away")
	}
}

// Time runs evenly in the shares, also where nothing was published.
func TestSharesOfEmptyDays(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	shares := apiShares([]drift.Step{
		{From: day(2), Counts: map[string]uint64{"Elever": 2, "of another taxonomy": 1}}, {From: day(3), Counts: map[string]uint64{"Elever": 1}}, {From: day(6), Counts: map[string]uint64{"Ledelse": 4}},
	}, 24*time.Hour, schemas.Jobnet())
	want := []struct{ all, pupils, leaders uint64 }{{3, 2, 0}, {1, 1, 0}, {}, {}, {4, 0, 4}}
	if len(shares) != len(want) {
		t.Fatalf("%d shares, want %d", len(shares), len(want))
	}
	for i, w := range want {
		if s := shares[i]; !s.From.Equal(day(2+i)) || s.Vacancies != w.all || s.Categories[3] != w.pupils || s.Categories[10] != w.leaders {
			t.Errorf("share %d: %+v", i, s)
		}
	}
}
