package consumers

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
)

// ReprocessOptions say what is run again.
type ReprocessOptions struct {
	// Runner options; a reprocessing has one worker, in a group of its own.
	Runner RunnerOptions
	// Name tells reprocessings apart: it is the version of what is written, and with the encoder part of the group, so that the same name goes on where
	// it stopped.
	Name string
	// Stages run one after the other in memory, beginning with the topic that the first reads.
	Stages []Stage
	// Since and Until bound the time at which records were written to that topic: at or after Since, before Until. Without Until it ends with what
	// is there now.
	Since, Until time.Time
	// Start is called once with the number of records to read, Passed with how many were worked on since the last call. Nil is allowed.
	Start, Passed func(records int)
}

// ReprocessResult counts what this run made; what an earlier one of the same name made is not counted again.
type ReprocessResult struct {
	// Classified records are on vacancies.shadow.
	Classified int
	// Erased ones belong to vacancies that were erased since and are left out.
	Erased int
	// Refused counts by class what could not be classified. It makes no dead letters: the live flow has its own.
	Refused map[string]int
}

// ErrReprocessing means that another process works under the same name.
var ErrReprocessing = errors.New("another process reprocesses under this name: wait for it, or choose another name")

var reprocessName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// Validate reports every violation.
func (o ReprocessOptions) Validate() error {
	var wrong []error
	if !reprocessName.MatchString(o.Name) {
		wrong = append(wrong, fmt.Errorf("name (%.120q) must be letters, digits, '.', '_' and '-', at most 100", o.Name))
	}
	if !o.Until.IsZero() && !o.Until.After(o.Since) {
		wrong = append(wrong, fmt.Errorf("until (%s) must be after since (%s)", o.Until.Format(time.RFC3339), o.Since.Format(time.RFC3339)))
	}
	return errors.Join(wrong...)
}

// reprocess is a run of a reprocessing.
type reprocess struct {
	ReprocessOptions
	group  string
	from   string        // topic
	raw    kafka.TopicID // of the raw topic, when that is it
	admin  *kadm.Client
	bounds map[int32]struct{ from, to int64 } // what is left to do
	last   map[int32]int64                    // the last record of each partition before its bound
	erased kafka.Erasures

	mu     sync.Mutex
	counts ReprocessResult
	done   map[int32]int64 // the last record of each partition that is counted; a batch may come twice
}

// Reprocess runs stages over a part of a topic's past, by the same exactly-once runner as the flow, and writes what they make to vacancies.shadow, in the same
// partitions, with the name in the header. It reads no topic in another's group and writes to no other. When ctx ends it stops with ctx's error; under the
// same name it then goes on where it stopped.
func Reprocess(ctx context.Context, o ReprocessOptions) (ReprocessResult, error) {
	result, err := run(ctx, o)
	if err != nil {
		return result, fmt.Errorf("reprocessing %s: %w", o.Name, err)
	}
	return result, nil
}

func run(ctx context.Context, o ReprocessOptions) (ReprocessResult, error) {
	o.Runner.EnsureDefaults()
	o.Runner.Workers, o.Runner.Slot = 1, "0"
	if err := o.Validate(); err != nil {
		return ReprocessResult{}, err
	}
	client, err := kafka.NewClient(o.Runner.Kafka)
	if err != nil {
		return ReprocessResult{}, err
	}
	defer client.Close()
	first, last := o.Stages[0], o.Stages[len(o.Stages)-1]
	r := &reprocess{
		ReprocessOptions: o, group: kafka.Group("reprocess."+o.Name, last.Encoder), from: first.From, raw: first.Topic, admin: kadm.NewClient(client),
		bounds: map[int32]struct{ from, to int64 }{}, last: map[int32]int64{}, done: map[int32]int64{}, counts: ReprocessResult{Refused: map[string]int{}},
	}
	if err := kafka.TakeOver(ctx, client, "reprocess."+o.Name, last.Encoder, first.From, ""); err != nil { // a version before may have begun it
		return ReprocessResult{}, err
	}
	if err := r.bound(ctx); err != nil {
		return ReprocessResult{}, err
	}
	total, err := r.survey(ctx)
	if err != nil {
		return ReprocessResult{}, err
	}
	if o.Start != nil {
		o.Start(total)
	}
	if total == 0 {
		return r.counts, nil
	}
	work, done := context.WithCancel(ctx)
	defer done()
	go func() { // ends with work
		if r.wait(work) {
			done()
		}
	}()
	err = Run(work, r.stage(), o.Runner)
	if err == nil {
		err = ctx.Err()
	}
	return r.counts, err
}

// bound finds out where each partition begins and ends, and puts the group where a new name begins.
func (r *reprocess) bound(ctx context.Context) error {
	list := func(read func() (kadm.ListedOffsets, error)) (kadm.ListedOffsets, error) {
		offsets, err := read()
		if err == nil {
			err = offsets.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("reading the offsets of %s: %w", r.from, err)
		}
		return offsets, nil
	}
	after := func(t time.Time) func() (kadm.ListedOffsets, error) {
		return func() (kadm.ListedOffsets, error) { return r.admin.ListOffsetsAfterMilli(ctx, t.UnixMilli(), r.from) }
	}
	ends, err := list(func() (kadm.ListedOffsets, error) { return r.admin.ListCommittedOffsets(ctx, r.from) })
	if err != nil {
		return err
	}
	start := func() (kadm.ListedOffsets, error) { return r.admin.ListStartOffsets(ctx, r.from) }
	if !r.Since.IsZero() {
		start = after(r.Since)
	}
	starts, err := list(start)
	if err != nil {
		return err
	}
	untils := ends
	if !r.Until.IsZero() {
		if untils, err = list(after(r.Until)); err != nil {
			return err
		}
	}
	committed, err := r.admin.FetchOffsets(ctx, r.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("reading where %s stopped: %w", r.group, err)
	}
	begin := kadm.Offsets{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(r.from, end.Partition)
		until, _ := untils.Lookup(r.from, end.Partition)
		from, known := committed.Lookup(r.from, end.Partition)
		if !known || from.At < 0 {
			begin.AddOffset(r.from, end.Partition, start.Offset, -1)
			from.At = start.Offset
		}
		r.bounds[end.Partition] = struct{ from, to int64 }{from.At, min(until.Offset, end.Offset)}
	})
	if len(begin) == 0 {
		return nil
	}
	set, err := r.admin.CommitOffsets(ctx, r.group, begin)
	if err == nil {
		err = set.Error()
	}
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.StaleMemberEpoch) {
		return ErrReprocessing
	}
	if err != nil {
		return fmt.Errorf("setting where %s begins: %w", r.group, err)
	}
	return nil
}

// survey reads what is left to do once, before it is done: how many records, which is the last of each partition, and who was erased since. An
// end offset does not tell the last record, because transactions end in marks that no reader sees.
func (r *reprocess) survey(ctx context.Context) (total int, err error) {
	if r.erased, err = kafka.ReadErasures(ctx, r.Runner.Kafka); err != nil {
		return 0, err
	}
	from, to := map[int32]int64{}, map[int32]int64{}
	for partition, b := range r.bounds {
		from[partition], to[partition] = b.from, b.to
	}
	err = kafka.Scan(ctx, r.Runner.Kafka, kafka.ScanOptions{Topics: []string{r.from}, From: from, To: to}, func(in *kgo.Record) error {
		total++
		r.last[in.Partition] = in.Offset
		if kafka.IsErasure(in) {
			r.erased.Add(string(in.Key), kafka.Identity(in, r.raw))
		}
		return nil
	})
	return total, err
}

// wait returns true when the group has committed the last record of every partition.
func (r *reprocess) wait(ctx context.Context) bool {
	for {
		committed, err := r.admin.FetchOffsets(ctx, r.group)
		done := err == nil
		for partition, last := range r.last {
			at, _ := committed.Lookup(r.from, partition)
			done = done && at.At > last
		}
		if done {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stage is all stages in one, for the runner.
func (r *reprocess) stage() Stage {
	stages, last := r.Stages, r.Stages[len(r.Stages)-1]
	batch := slices.MinFunc(stages, func(a, b Stage) int { return a.Batch - b.Batch }).Batch
	return Stage{
		Name: "reprocess." + r.Name, Encoder: last.Encoder, From: r.from, To: kafka.Shadow, Topic: r.raw, Model: last.Model, Batch: batch, Answer: r.answer,
		Refused: func(_ *kgo.Record, reason error) { r.refused(reason) }, // those that brought a whole batch down
	}
}

func (r *reprocess) refused(reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Refused[Class(reason)]++
}

// answer has the stages answer a batch, without tombstones, what they erase, and what lies beyond Until. What they refuse is counted.
func (r *reprocess) answer(ctx context.Context, in []*kgo.Record) ([]Answer, error) {
	var current []*kgo.Record
	var at []int // where they stand in the batch
	erased, refused := map[int]bool{}, map[int]error{}
	for i, record := range in {
		switch {
		case kafka.IsErasure(record), !r.Until.IsZero() && record.Offset >= r.bounds[record.Partition].to:
		case r.erased.Has(kafka.VacancyID(record), kafka.Identity(record, r.raw)):
			erased[i] = true
		default:
			current, at = append(current, record), append(at, i)
		}
	}
	for _, stage := range r.Stages {
		if len(current) == 0 {
			break
		}
		made, err := stage.Answer(ctx, current)
		if err != nil {
			return nil, err
		}
		var next []*kgo.Record
		var where []int
		for k, a := range made {
			if a.Err != nil {
				refused[at[k]] = a.Err
				continue
			}
			// What a topic would have done to it.
			a.Record.Topic, a.Record.Partition, a.Record.Offset, a.Record.Timestamp = stage.To, current[k].Partition, current[k].Offset, current[k].Timestamp
			next, where = append(next, a.Record), append(where, at[k])
		}
		current, at = next, where
	}
	answers := make([]Answer, len(in))
	for k, record := range current {
		headers := append(record.Headers, kgo.RecordHeader{Key: kafka.Version, Value: []byte(r.Name)})
		answers[at[k]].Record = &kgo.Record{Key: record.Key, Value: record.Value, Headers: headers}
	}
	r.count(in, answers, erased, refused)
	return answers, nil
}

// count counts the records of a batch that were not counted before.
func (r *reprocess) count(in []*kgo.Record, answers []Answer, erased map[int]bool, refused map[int]error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	passed := 0
	for i, record := range in {
		if last, before := r.done[record.Partition]; before && record.Offset <= last {
			continue
		}
		r.done[record.Partition] = record.Offset
		switch {
		case answers[i].Record != nil:
			r.counts.Classified++
		case erased[i]:
			r.counts.Erased++
		case refused[i] != nil:
			r.counts.Refused[Class(refused[i])]++
		}
		passed++
	}
	if r.Passed != nil {
		r.Passed(passed)
	}
}
