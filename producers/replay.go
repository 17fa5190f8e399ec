package producers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// replayID is the transactional id of every replay: a later one fences an earlier one that is still at it.
const replayID = "jobstrom.replay"

// replayBytes bounds the content of one transaction of a replay.
const replayBytes = 4 << 20

// ErrReplayTakenOver says that another replay began meanwhile, or that this one stood still for longer than its transaction's timeout. What was
// sent is marked, so nothing is sent twice.
var ErrReplayTakenOver = errors.New("another replay has begun meanwhile, or this one stood still too long: run it again for what is left")

// ErrNoLetter says that a letter was named by a place where none lies.
var ErrNoLetter = errors.New("there is none")

// ReplayOptions configure a replay of dead letters.
type ReplayOptions struct {
	Kafka kafka.Options
	// Filter chooses the letters. Its states are not asked: only waiting letters are sent.
	Filter kafka.LetterFilter
	// MaxReplays guards against loops: a record that was replayed so often is refused. Default 3.
	MaxReplays int
	// DryRun sends nothing and disturbs no other replay; its result is what a replay would do now.
	DryRun bool
	// Batch bounds the letters of one transaction. Default 500.
	Batch int
	// TransactionTimeout after which the broker aborts the transaction of a silent replay, default 30 s.
	TransactionTimeout time.Duration
	// Progress is called after each transaction. Nil is allowed.
	Progress func(done, total int)
	Logger   *slog.Logger
}

// EnsureDefaults fills what is zero.
func (o *ReplayOptions) EnsureDefaults() {
	if o.MaxReplays == 0 {
		o.MaxReplays = 3
	}
	if o.Batch == 0 {
		o.Batch = 500
	}
	if o.TransactionTimeout == 0 {
		o.TransactionTimeout = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// ReplayResult says what became of the letters that were chosen.
type ReplayResult struct {
	// Replayed counts the letters that were sent again, Topics the same by where they went.
	Replayed int
	Topics   map[string]int
	// Skipped counts those that had been replayed before.
	Skipped int
	// Refused are those that are not sent, and why.
	Refused []RefusedLetter
}

// RefusedLetter is a letter that is not replayed.
type RefusedLetter struct {
	*kafka.Letter
	Why string
}

// Why a letter is refused.
const (
	LoopGuard = "loop guard"
	Erased    = "erased"
	LeftOut   = "too large to keep"
	NoPlace   = "no such topic or partition"
)

// Replay sends the chosen dead letters again, each to the topic and partition it was refused in, with its key, value and headers, behind which the
// headers of the replay stand. A letter is sent exactly once, whatever is killed and however many replay: the record and a marker for
// the letter are one transaction, and the markers of every earlier replay are read first. A record comes at the end of its partition.
// When ctx ends, the transaction in hand is finished; the result counts what was sent, also beside an error.
func Replay(ctx context.Context, o ReplayOptions) (ReplayResult, error) {
	o.EnsureDefaults()
	result := ReplayResult{Topics: map[string]int{}}
	client, err := kafka.NewClient(o.Kafka,
		kgo.TransactionalID(replayID),
		kgo.TransactionTimeout(o.TransactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		return result, fmt.Errorf("replaying dead letters: %w", err)
	}
	defer client.Close()
	if !o.DryRun {
		// From here on no earlier replay can commit. What it has committed lies before the end that is read to now; without the fence a
		// marker could follow after that end, and its letter would be sent twice.
		if _, _, err := client.ProducerID(ctx); err != nil {
			return result, fmt.Errorf("replaying dead letters: taking over %s: %w", replayID, err)
		}
	}
	letters, err := kafka.ReadLetters(ctx, o.Kafka, !o.DryRun)
	if err != nil {
		return result, fmt.Errorf("replaying dead letters: %w", err)
	}
	waiting, err := o.choose(ctx, client, letters, &result)
	if err != nil {
		return result, fmt.Errorf("replaying dead letters: %w", err)
	}
	if o.DryRun {
		for _, l := range waiting {
			result.add(l)
		}
		return result, nil
	}
	if err := o.send(ctx, client, waiting, &result); err != nil {
		return result, fmt.Errorf("replaying dead letters: %w", err)
	}
	return result, nil
}

func (r *ReplayResult) add(l *kafka.Letter) {
	r.Replayed++
	r.Topics[l.Message.Topic]++
}

// choose returns the letters to send and counts the others.
func (o ReplayOptions) choose(ctx context.Context, client *kgo.Client, letters *kafka.Letters, result *ReplayResult) ([]*kafka.Letter, error) {
	filter := o.Filter
	filter.States = nil
	missing := map[kafka.Place]bool{}
	for _, p := range filter.Places {
		missing[p] = true
	}
	var chosen, waiting []*kafka.Letter
	topics := map[string]bool{}
	for _, l := range letters.All {
		delete(missing, l.Place)
		if filter.Match(l) {
			chosen = append(chosen, l)
			topics[l.Message.Topic] = true
		}
	}
	for p := range missing {
		return nil, fmt.Errorf("choosing letters: %w at %v: it has expired, or that is not its place (see jobstrom deadletter list)", ErrNoLetter, p)
	}
	if len(chosen) == 0 {
		return nil, nil
	}
	partitions := map[string]int32{}
	var names []string
	for topic := range topics {
		names = append(names, topic)
	}
	details, err := kadm.NewClient(client).ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	for topic, d := range details {
		if d.Err == nil && (strings.HasPrefix(topic, "vacancies.") || topic == kafka.APIPredictions) { // a letter must not write to the registry
			partitions[topic] = int32(len(d.Partitions))
		}
	}
	for _, l := range chosen {
		refuse := func(why string) { result.Refused = append(result.Refused, RefusedLetter{l, why}) }
		switch m := l.Message; {
		case l.State == kafka.Replayed:
			result.Skipped++
		case l.State == kafka.Copy:
			// Its newer copy stands for it.
		case l.State == kafka.Erased:
			refuse(Erased)
		case int(m.Replays) >= o.MaxReplays:
			refuse(LoopGuard)
		case m.LeftOut > 0:
			refuse(LeftOut)
		case m.Partition >= partitions[m.Topic] || m.Partition < 0:
			refuse(NoPlace)
		default:
			waiting = append(waiting, l)
		}
	}
	return waiting, nil
}

// send replays the letters in transactions of bounded size.
func (o ReplayOptions) send(ctx context.Context, client *kgo.Client, waiting []*kafka.Letter, result *ReplayResult) error {
	var batch []*kafka.Letter
	size := 0
	flush := func() error {
		if err := ctx.Err(); err != nil || len(batch) == 0 {
			return err
		}
		// What is begun is finished, when the broker answers in time: stopping in it would leave the work to the next replay.
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.TransactionTimeout)
		defer cancel()
		if err := transact(work, client, batch); err != nil {
			return err
		}
		for _, l := range batch {
			result.add(l)
		}
		o.Logger.Info("replayed dead letters", "letters", len(batch), "done", result.Replayed, "of", len(waiting))
		if o.Progress != nil {
			o.Progress(result.Replayed, len(waiting))
		}
		batch, size = batch[:0], 0
		return nil
	}
	err := kafka.ReadContent(ctx, o.Kafka, waiting, func(l *kafka.Letter) error {
		if len(batch) > 0 && size+l.Size > replayBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, size = append(batch, l), size+l.Size
		if len(batch) < o.Batch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// transact sends letters and their markers in one transaction.
func transact(ctx context.Context, client *kgo.Client, batch []*kafka.Letter) error {
	if err := client.BeginTransaction(); err != nil {
		return taken(fmt.Errorf("beginning a transaction: %w", err))
	}
	delivered := kgo.AbortingFirstErrPromise(client)
	for _, l := range batch {
		record := kafka.Original(l.Message)
		record.Headers = kafka.ReplayHeaders(record.Topic, record.Headers, l.Place, l.Coordinates)
		marker, err := mark(l)
		if err != nil {
			return errors.Join(err, client.EndTransaction(ctx, kgo.TryAbort))
		}
		client.Produce(ctx, record, delivered.Promise())
		client.Produce(ctx, marker, delivered.Promise())
	}
	if err := delivered.Err(); err != nil {
		// After an error nothing is sent any more: the producer that recovers might be one that was fenced, with letters another has sent.
		return taken(errors.Join(err, client.EndTransaction(ctx, kgo.TryAbort)))
	}
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return taken(fmt.Errorf("committing %d letters: %w: whether they were sent is seen by running it again", len(batch), err))
	}
	return nil
}

// mark makes the record that says that a letter was replayed. It lies behind the letter, in its partition.
func mark(l *kafka.Letter) (*kgo.Record, error) {
	m := l.Message
	value, err := schemas.Encode(schemas.JSON, &schemas.Replay{
		Stage: m.Stage, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, ReplayedAt: schemas.Time(time.Now()), Replays: m.Replays + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("marking letter %v: %w", l.Place, err)
	}
	headers := append(l.Coordinates.Headers(schemas.JSON), kgo.RecordHeader{Key: kafka.ReplayMarker, Value: []byte(l.Place.String())})
	return &kgo.Record{Topic: kafka.DeadLetter, Partition: l.Partition, Value: value, Headers: headers}, nil
}

// taken names the error of a producer that was fenced. A commit is told so by INVALID_TXN_STATE where the broker has aborted the
// transaction for the producer that came after, and by UNKNOWN_SERVER_ERROR where Apache Kafka is about to.
func taken(err error) error {
	for _, fenced := range []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState, kerr.UnknownServerError} {
		if errors.Is(err, fenced) {
			return fmt.Errorf("%w (%w)", ErrReplayTakenOver, err)
		}
	}
	return err
}
