package producers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// recorderBytes bounds what a recorder holds; kafka.MaxRecordBytes fit in.
const recorderBytes = 32 << 20

// warnEvery is how often it is said that predictions are dropped.
const warnEvery = time.Minute

// RecorderOptions configure a recorder.
type RecorderOptions struct {
	Kafka kafka.Options
	// Buffer bounds the predictions that wait for Kafka; what comes beyond is dropped. Default 4096, and never more than 32 MiB.
	Buffer int
	// Wait is how long a prediction waits for Kafka, about: an older one is dropped. At least 1 s, default 10 s. It also bounds how long after the erasure of its vacancy a prediction of
	// before may come to the topic, where no tombstone reaches it any more.
	Wait time.Duration
	// Flush is how long Close waits for Kafka. Default 2 s.
	Flush time.Duration
	// Logger receives why predictions are dropped, once a minute. Nil discards.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// EnsureDefaults fills what is zero.
func (o *RecorderOptions) EnsureDefaults() {
	if o.Buffer == 0 {
		o.Buffer = 4096
	}
	if o.Wait == 0 {
		o.Wait = 10 * time.Second
	}
	if o.Flush == 0 {
		o.Flush = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Kafka.ClientID == "" {
		o.Kafka.ClientID = "jobstrom.api"
	}
	o.Kafka.Registerer = o.Registerer
}

// Recorder writes what the API predicts to predictions.api, best effort: whoever asked the API must not notice whether Kafka is there. Its methods may be called at once.
type Recorder struct {
	options          RecorderOptions
	client           *kgo.Client
	written, dropped prometheus.Counter

	// mu guards what is remembered of drops.
	mu sync.Mutex
	// warned is when it was last said that predictions are dropped, unsaid how many were since then.
	warned time.Time
	unsaid int
}

// NewRecorder returns a recorder. It does not connect yet: Kafka may be away.
func NewRecorder(o RecorderOptions) (*Recorder, error) {
	o.EnsureDefaults()
	client, err := kafka.NewClient(o.Kafka,
		kgo.MaxBufferedRecords(o.Buffer),
		kgo.MaxBufferedBytes(recorderBytes),
		kgo.RecordDeliveryTimeout(o.Wait),
		// What was sent to a broker that then fell silent must not wait for its answer: a prediction that is written after all counts as dropped, no worse.
		kgo.AllowIdempotentProduceCancellation(),
	)
	if err != nil {
		return nil, err
	}
	outcomes := newOutcomes()
	if o.Registerer != nil {
		if err := o.Registerer.Register(outcomes); err != nil {
			client.Close()
			return nil, err
		}
	}
	return &Recorder{options: o, client: client, written: outcomes.WithLabelValues("written"), dropped: outcomes.WithLabelValues("dropped")}, nil
}

func newOutcomes() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jobstrom_api_predictions_total", Help: "Predictions of the API: written (on predictions.api) or dropped (Kafka is away, slow or refuses them), which no caller notices.",
	}, []string{"outcome"})
}

// RegisterMetrics registers what the package's parts show, before any of them runs: for the list in docs/metrics.md.
func RegisterMetrics(registerer prometheus.Registerer) {
	registerer.MustRegister(newOutcomes())
}

// Record hands predictions over. It never waits and never fails: what Kafka does not take soon is dropped and counted. The messages may be changed afterwards.
func (r *Recorder) Record(predictions []*schemas.ApiPrediction) {
	for _, p := range predictions {
		value, err := schemas.Encode(schemas.Protobuf, p)
		if err != nil { // text that is not UTF-8
			r.drop(err)
			continue
		}
		record := &kgo.Record{
			Topic: kafka.APIPredictions, Key: []byte(p.GetClassification().GetId()), Value: value,
			Headers: []kgo.RecordHeader{{Key: kafka.ContentType, Value: []byte(schemas.Protobuf)}},
		}
		r.client.TryProduce(context.Background(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				r.drop(err)
				return
			}
			r.written.Inc()
		})
	}
}

// drop counts a prediction that Kafka does not get.
func (r *Recorder) drop(err error) {
	r.dropped.Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsaid++
	if now := time.Now(); now.Sub(r.warned) >= warnEvery {
		r.options.Logger.Warn("the API's predictions are not recorded, its answers go on", "dropped", r.unsaid, "topic", kafka.APIPredictions, "error", kafka.Denied(err, kafka.WriteTopic(kafka.APIPredictions)))
		r.warned, r.unsaid = now, 0
	}
}

// Close waits a moment for what Kafka has not taken yet, and drops the rest. What is recorded afterwards is dropped.
func (r *Recorder) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), r.options.Flush)
	defer cancel()
	_ = r.client.Flush(ctx) // what is left is counted when the client is closed
	r.client.Close()
}
