package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"jobstrom/health"
	"jobstrom/kafka"
	"jobstrom/pipeline"
)

// worker is one member of a stage's group, with a transactional id of its own.
type worker struct {
	stage   Stage
	options RunnerOptions
	name    string // slot and number
	session *kgo.GroupTransactSession
	metrics *stageMetrics
	spans   *spanMaker
	log     *slog.Logger
	// limit bounds the records of a transaction. It is halved when the broker finds one too large, so that the one at fault ends up alone.
	limit int
	// pace is how many records are answered at once: about as many as take answerTime, however fast the machine and long the texts.
	pace int
	// oversized counts how often the broker refused a record's answer, and then its dead letter, as too large.
	oversized map[place]int
}

// batch is what one transaction holds.
type batch struct {
	in      []*kgo.Record
	answers []Answer
	bytes   int
	began   time.Time
}

// answerTime is what answering some records at once should take. Longer would delay those that come first, and a rebalance; shorter would leave the encoder
// less to sort by length. The first records of a worker are few.
const (
	answerTime = 2 * time.Second
	firstPace  = 16
)

// answered learns from what answering so many records took.
func (w *worker) answered(n int, took time.Duration) {
	switch {
	case took > answerTime:
		w.pace = max(1, int(int64(n)*int64(answerTime)/int64(took)))
	case n >= w.pace && took < answerTime/2:
		w.pace = min(2*w.pace, w.stage.Batch)
	}
}

// errMoved means that the partitions went to another worker, which reads the batch again.
var errMoved = errors.New("the batch's partitions moved to another worker")

// id is the worker's transactional id: the same after a restart.
func (w *worker) id() string { return kafka.TransactionalID(w.stage.Name, w.stage.Encoder, w.name) }

// run opens one session after the other: Kafka gives no way to go on with a transactional client that failed.
func (w *worker) run(ctx context.Context) error {
	for failures := 0; ; {
		start := time.Now()
		worked, err := w.work(ctx)
		if ctx.Err() != nil {
			return nil
		}
		// Two workers of one slot fence each other in turn, and each gets some work done in between.
		if worked && !(fenced(err) && time.Since(start) < w.options.TransactionTimeout) {
			failures = 0
		}
		failures++
		verdict := w.failed(err)
		switch {
		case verdict == Fatal:
			return err
		case verdict == Suspect && failures > w.options.Retries:
			return fmt.Errorf("giving up after %d tries: %w", failures, err)
		case fenced(err) && failures > w.options.Retries:
			return fmt.Errorf("giving up: another process works in slot %s, give each a --slot of its own: %w", w.options.Slot, err)
		}
		w.log.Warn("session ended, opening another", "failures", failures, "error", err)
		if !pause(ctx, failures) {
			return nil
		}
	}
}

// workerGrace is how long a worker may fail before its process is not ready: a rebalance or a broker's restart is no reason to tell anyone.
const workerGrace = 15 * time.Second

// place is where the worker's troubles are.
func (w *worker) place() health.Place {
	return health.Place{Part: "worker", Stage: w.stage.Name, Worker: w.name}
}

// failed counts and reports what hit a whole batch or session, and gives the verdict on it.
func (w *worker) failed(err error) Verdict {
	verdict := Judge(err)
	w.metrics.errors.WithLabelValues(w.stage.Name, string(verdict)).Inc()
	w.options.Board.Report(health.Problem{Place: w.place(), Reason: err.Error(), Remedy: remedy(verdict, err)}, workerGrace)
	return verdict
}

// remedy says what to do about an error.
func remedy(verdict Verdict, err error) string {
	switch {
	case verdict == Fatal:
		return "mend what the reason names and start the process again"
	case errors.Is(err, pipeline.ErrNoClassifier):
		return "the vectors wait until their encoder has a champion: train one with jobstrom train, which also promotes it"
	}
	return "it tries again by itself; the log has each try"
}

// fenced says that a younger worker of the same id took over. A pause longer than the transaction timeout looks the same.
func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.FencedInstanceID)
}

// work runs batch after batch in one session, until ctx ends or the session fails. It says whether it committed any.
func (w *worker) work(ctx context.Context) (worked bool, err error) {
	if err := w.open(ctx); err != nil {
		return false, err
	}
	defer func() {
		w.session.CloseAllowingRebalance()
		w.metrics.inFlight.WithLabelValues(w.stage.Name, w.name).Set(0)
	}()
	for {
		b, err := w.gather(ctx)
		if err != nil || len(b.in) == 0 {
			return worked, err
		}
		// The answers are there: the transaction ends even when ctx did.
		switch err := w.transact(context.WithoutCancel(ctx), b); {
		case err == nil:
			worked = true
		case errors.Is(err, errMoved):
			w.log.Info("batch left to another worker", "records", len(b.in))
		case errors.Is(err, kerr.MessageTooLarge):
			w.log.Warn("an answer is too large, going on in smaller batches", "records", len(b.in))
		default:
			return worked, err
		}
		w.holds(0)
	}
}

// holds says how many bytes of records the worker holds: those in hand, and those fetched ahead.
func (w *worker) holds(inHand int) {
	w.metrics.inFlight.WithLabelValues(w.stage.Name, w.name).Set(float64(inHand) + float64(w.session.Client().BufferedFetchBytes()))
}

func (w *worker) open(ctx context.Context) error {
	group, err := w.groupOptions(ctx)
	if err != nil {
		return err
	}
	o := w.options.Kafka
	o.ClientID = w.id()
	fetch := int32(w.options.MaxBytes / 16) // two fetches ahead that compression may have made four times smaller, and the batch in hand
	opts, err := kafka.ClientOptions(o, append(group,
		kgo.ConsumeTopics(w.stage.From),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.TransactionalID(w.id()),
		kgo.TransactionTimeout(w.options.TransactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.FetchMaxBytes(fetch),
		kgo.FetchMaxPartitionBytes(min(fetch, 1<<20)),
		kgo.MaxConcurrentFetches(2),
	)...)
	if err != nil {
		return err
	}
	w.session, err = kgo.NewGroupTransactSession(opts...)
	return err
}

// gather polls and answers until CommitInterval or MaxBytes is reached or nothing more is there. An empty batch means that ctx ended.
func (w *worker) gather(ctx context.Context) (*batch, error) {
	b := &batch{}
	var start time.Time
	for {
		wait := ctx
		if len(b.in) > 0 {
			wait = nil // takes what is buffered
		}
		in, err := w.poll(wait)
		switch {
		case err != nil:
			w.traced(b, verdictFailed)
			return nil, err
		case len(in) == 0 && (ctx.Err() != nil || len(b.in) > 0):
			return b, nil
		case len(in) == 0:
			continue
		case len(b.in) == 0:
			start = time.Now()
			b.began = start
		}
		for _, r := range in {
			b.bytes += kafka.RecordBytes(r)
		}
		w.holds(b.bytes)
		asked := time.Now()
		spans := w.begin(in, asked)
		answers, err := w.answer(ctx, in)
		if err == nil {
			w.answered(len(in), time.Since(asked))
			err = w.disown(ctx, in, answers)
		}
		if err != nil {
			for _, span := range spans {
				end(span, verdictFailed, true)
			}
			w.traced(b, verdictFailed)
			return nil, err
		}
		for i, span := range spans {
			if answers[i].span = span; span != nil {
				span.AddEvent(verdictAnswered)
			}
		}
		b.in, b.answers = append(b.in, in...), append(b.answers, answers...)
		if time.Since(start) >= w.options.CommitInterval || b.bytes >= w.options.MaxBytes/2 || w.limit < w.stage.Batch || ctx.Err() != nil {
			return b, nil
		}
	}
}

// poll returns the next records, none when ctx ends or, with a nil ctx, when none is there.
func (w *worker) poll(ctx context.Context) ([]*kgo.Record, error) {
	fetches := w.session.PollRecords(ctx, min(w.limit, w.pace))
	var failed error
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, context.Canceled) {
			return
		}
		w.log.Warn("fetching", "topic", topic, "partition", partition, "error", err)
		if Judge(err) == Fatal || errors.Is(err, kgo.ErrClientClosed) {
			failed = fmt.Errorf("reading %s: %w", topic, err)
		}
	})
	return fetches.Records(), failed
}

// transact writes a batch's answers and commits its offsets in one transaction, in at most a third of its timeout: past that the broker would
// abort what we take for done. After errMoved and MessageTooLarge the session stands at the offsets before the batch; after any other it is of no more use.
func (w *worker) transact(ctx context.Context, b *batch) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, w.options.TransactionTimeout/3)
	defer cancel()
	if err := w.session.Begin(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	// Only this promise may say that all was delivered: TryCommit after a failed record would lose it.
	delivered := kgo.AbortingFirstErrPromise(w.session.Client())
	for i, a := range b.answers {
		for _, out := range w.records(b.in[i], a) {
			out.Partition = b.in[i].Partition
			traced(a.span, b.in[i], out)
			w.session.Produce(ctx, out, delivered.Promise())
		}
	}
	failed := delivered.Err()
	committed, err := w.session.End(ctx, failed == nil)
	how := "committed"
	switch {
	case err != nil:
		how, err = "failed", errors.Join(failed, fmt.Errorf("ending a transaction: %w", err))
	case errors.Is(failed, kerr.MessageTooLarge):
		how, err = "failed", w.tooLarge(b, failed)
	case failed != nil:
		how, err = "failed", fmt.Errorf("writing answers: %w", failed)
	case !committed:
		how, err = "moved", errMoved
	}
	w.traced(b, how)
	if err != nil {
		w.metrics.transactions.WithLabelValues(w.stage.Name, how).Inc()
		return err
	}
	w.limit = min(2*w.limit, w.stage.Batch)
	w.oversized = nil
	w.metrics.committed(w.stage.Name, b, time.Since(start))
	w.options.Board.Clear(w.place())
	return nil
}

// records returns what a record's answer writes.
func (w *worker) records(in *kgo.Record, a Answer) []*kgo.Record {
	tooLarge := w.oversized[placeOf(in)]
	if a.Err == nil && tooLarge > 0 {
		a = Answer{Err: ErrTooLarge, others: a.others}
	}
	if a.Record != nil {
		kafka.CarryRawPlace(in, a.Record)
	}
	switch {
	case a.Err != nil && a.others:
		return a.Also
	case a.Err == nil && a.Record == nil:
		return a.Also
	case a.Err == nil:
		a.Record.Topic = w.stage.To
		return append(a.Also, a.Record)
	case w.stage.Refused != nil:
		w.stage.Refused(in, a.Err)
		return a.Also
	}
	logDeadLetter(w.log, in, Class(a.Err))
	why := w.stage.refusal(w.options.Version, a.attempts, a.Err)
	why.Short = tooLarge > 1
	return append(a.Also, deadLetter(in, why))
}

// begin starts the spans of records; nil where there are none.
func (w *worker) begin(in []*kgo.Record, at time.Time) []trace.Span {
	if w.spans == nil {
		return nil
	}
	spans := make([]trace.Span, len(in))
	for i, r := range in {
		spans[i] = w.spans.begin(r, at)
	}
	return spans
}

// traced ends the spans of a batch: its transaction was committed, moved or failed.
func (w *worker) traced(b *batch, how string) {
	if w.spans == nil {
		return
	}
	var model []attribute.KeyValue
	if w.stage.Model != nil {
		model = append(model, attribute.String("jobstrom.model", w.stage.Model()))
	}
	spans := make([]trace.Span, len(b.answers))
	for i, a := range b.answers {
		spans[i] = a.span
		switch {
		case how != "committed":
			end(a.span, how, how == verdictFailed)
		case a.others:
			end(a.span, verdictOthers, false, model...)
		case a.Err != nil:
			end(a.span, Class(a.Err), true, model...)
		default:
			end(a.span, verdictAnswered, false, model...)
		}
	}
	if how == "committed" {
		w.spans.batch("transaction", b.began, len(b.in), spans)
	}
}

// place is where a record was read.
type place struct {
	partition int32
	offset    int64
}

func placeOf(r *kgo.Record) place { return place{r.Partition, r.Offset} }

// tooLarge makes the next transactions smaller, until the record at fault is alone, and remembers it.
func (w *worker) tooLarge(b *batch, failed error) error {
	w.limit = max(1, min(w.limit, len(b.in))/2)
	if len(b.in) > 1 {
		return failed
	}
	if w.oversized == nil {
		w.oversized = map[place]int{}
	}
	at := placeOf(b.in[0])
	if w.oversized[at]++; w.oversized[at] > 2 {
		return fmt.Errorf("%s takes not even a dead letter without content: raise its max.message.bytes", kafka.DeadLetter)
	}
	return failed
}
