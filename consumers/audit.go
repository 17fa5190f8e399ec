package consumers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/warehouse"
)

// AuditOptions say what an audit reads.
type AuditOptions struct {
	Kafka kafka.Options
	// Warehouse is compared with the topics. Nil compares the topics alone.
	Warehouse *warehouse.Warehouse
	// Encoder is the live one. Former are those that were live before: they are waited for where they still work.
	Encoder string
	Former  []string
	// Owner returns the encoder that answers a raw record, "" where nothing says so. Nil takes Encoder for all.
	Owner func(kafka.Coordinates) string
	// Raw is the raw topic's id.
	Raw kafka.TopicID
	// Wait bounds how long the flow may take to get through what is on the raw topic when the audit begins. Default 1 minute.
	Wait time.Duration
	// Passed is called with the number of offsets passed since the last call. Nil is allowed.
	Passed func(offsets int64)
}

// AuditResult counts vacancies by what became of them.
type AuditResult struct {
	// Vacancies that the raw topic held when the audit began, tombstones and replays not counted.
	Vacancies int `json:"vacancies"`
	// Classified and Letters have exactly that outcome. Letters of theirs that were replayed are not counted.
	Classified int `json:"classified"`
	Letters    int `json:"deadletters"`
	// Erased vacancies may be on Kafka until they expire, and must not be in ClickHouse.
	Erased int `json:"erased"`

	// Lost have no outcome, Duplicated more than one, Reordered stand on the classified topic behind one that came later.
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
	Reordered  int `json:"reordered"`
	// RowsMissing and RowsExtra count where ClickHouse's views differ from the topics.
	RowsMissing int `json:"rows_missing"`
	RowsExtra   int `json:"rows_extra"`
	// Findings name the first places of what is wrong.
	Findings []string `json:"findings,omitempty"`
}

// OK says that every vacancy has exactly one outcome, in order, and ClickHouse the same.
func (r AuditResult) OK() bool {
	return r.Lost+r.Duplicated+r.Reordered+r.RowsMissing+r.RowsExtra == 0
}

// maxFindings bounds what is named.
const maxFindings = 20

func (r *AuditResult) find(count *int, partition int32, offset int64, what string) {
	if *count++; len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf("raw partition %d, offset %d: %s", partition, offset, what))
	}
}

// outcome is what was seen of one offset of the raw topic. Counts stop at 255.
type outcome struct {
	vacancy, erased, replayed             bool
	classified, letters, rows, letterRows uint8
}

func (o *outcome) count(n *uint8) {
	if *n < 255 {
		*n++
	}
}

// audit holds the outcomes of each raw partition, from its first offset: 7 bytes a vacancy.
type audit struct {
	AuditOptions
	first    map[int32]int64
	outcomes map[int32][]outcome
	result   AuditResult
}

// Audit proves of a flow that may be running that each vacancy on its raw topic is exactly once classified or exactly once a dead letter, in order, and
// that ClickHouse's views hold the same. It sees as far back as the raw topic's retention. It waits until the flow has got through what was there when it began, and
// returns an error when it does not.
func Audit(ctx context.Context, o AuditOptions) (AuditResult, error) {
	if o.Wait == 0 {
		o.Wait = time.Minute
	}
	a := &audit{AuditOptions: o, first: map[int32]int64{}, outcomes: map[int32][]outcome{}}
	for _, step := range []func(context.Context) error{a.settle, a.readRaw, a.readLetters, a.readClassified, a.readRows} {
		if err := step(ctx); err != nil {
			return a.result, fmt.Errorf("auditing: %w", err)
		}
	}
	a.judge()
	return a.result, nil
}

// settle notes where the raw topic ends and waits until each stage in turn has passed where its topics then end.
func (a *audit) settle(ctx context.Context) error {
	deadline := time.Now().Add(a.Wait) // for the stages: a slow broker's answers are waited for, or it would be taken for a stage that stands
	reader, err := kafka.NewLagReader(a.Kafka)
	if err != nil {
		return err
	}
	defer reader.Close()
	for _, stage := range a.readers() {
		if stage.Stage == "sink" && a.Warehouse == nil {
			continue
		}
		ends, err := reader.Read(ctx, stage)
		if err != nil {
			return err
		}
		if stage.Encoder != "" && stage.Encoder != a.Encoder && !slices.ContainsFunc(ends, func(l kafka.Lag) bool { return l.Worker != "" }) {
			continue // what it owns and has not done is found as lost
		}
		for _, end := range ends {
			if end.Topic == kafka.Raw {
				a.outcomes[end.Partition] = nil
				a.first[end.Partition] = end.End // the end, until readRaw finds the first
			}
		}
		for lags := ends; ; {
			behind := slices.IndexFunc(ends, func(end kafka.Lag) bool {
				i := slices.IndexFunc(lags, func(l kafka.Lag) bool { return l.Topic == end.Topic && l.Partition == end.Partition })
				return lags[i].Records > 0 && lags[i].End-lags[i].Records < end.End
			})
			if behind < 0 {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("stage %s has not got through partition %d of %s within %s: is it running (jobstrom lag)? Give it more time with --wait", stage.Stage, ends[behind].Partition, ends[behind].Topic, a.Wait)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(min(200*time.Millisecond, time.Until(deadline)+time.Millisecond)):
			}
			if lags, err = reader.Read(ctx, stage); err != nil {
				return err
			}
		}
	}
	return nil
}

// readers lists the stages of every encoder, in the order of the flow.
func (a *audit) readers() []kafka.Reader {
	all := kafka.Readers(a.Encoder)
	for _, encoder := range a.Former {
		for _, r := range kafka.Readers(encoder) {
			if r.Encoder != "" {
				at := slices.IndexFunc(all, func(o kafka.Reader) bool { return o.Stage == r.Stage })
				all = slices.Insert(all, at, r)
			}
		}
	}
	return all
}

// owner returns the encoder that answers a raw record.
func (a *audit) owner(partition int32, offset int64) string {
	if a.Owner != nil {
		if owner := a.Owner(kafka.Coordinates{Topic: a.Raw, Partition: partition, Offset: offset}); owner != "" {
			return owner
		}
	}
	return a.Encoder
}

func (a *audit) scan(ctx context.Context, topic string, to map[int32]int64, f func(*kgo.Record) error) error {
	return kafka.Scan(ctx, a.Kafka, kafka.ScanOptions{Topics: []string{topic}, To: to, Passed: a.Passed}, f)
}

// readRaw notes the vacancies.
func (a *audit) readRaw(ctx context.Context) error {
	erasures, err := kafka.ReadErasures(ctx, a.Kafka)
	if err != nil {
		return err
	}
	to := a.first
	a.first = map[int32]int64{}
	return a.scan(ctx, kafka.Raw, to, func(r *kgo.Record) error {
		if _, begun := a.first[r.Partition]; !begun {
			a.first[r.Partition] = r.Offset
		}
		list := a.outcomes[r.Partition]
		for int64(len(list)) <= r.Offset-a.first[r.Partition] {
			list = append(list, outcome{})
		}
		a.outcomes[r.Partition] = list
		here := &list[len(list)-1]
		c := kafka.Identity(r, a.Raw)
		if kafka.IsErasure(r) || c.Offset != r.Offset { // a replay belongs to the vacancy's first place
			return nil
		}
		here.vacancy = true
		here.erased = len(erasures) > 0 && erasures.Has(kafka.VacancyID(r), c)
		return nil
	})
}

// at returns what is known of a vacancy's place; nil when the audit does not look there.
func (a *audit) at(topic kafka.TopicID, partition int32, offset int64) *outcome {
	i := offset - a.first[partition]
	if list := a.outcomes[partition]; topic == a.Raw && i >= 0 && i < int64(len(list)) {
		return &list[i]
	}
	return nil
}

// readLetters notes the letters of the three stages. The sink's letters do not decide what became of a vacancy.
func (a *audit) readLetters(ctx context.Context) error {
	letters, err := kafka.ReadLetters(ctx, a.Kafka, true)
	if err != nil {
		return err
	}
	for _, l := range letters.All {
		if here := a.at(l.Coordinates.Topic, l.Coordinates.Partition, l.Coordinates.Offset); here != nil && l.Message.Stage != "sink" {
			switch l.State {
			case kafka.Replayed:
				here.replayed = true
			default: // a copy is a fault: the stages' letters are transactional, only the sink's may have any
				here.count(&here.letters)
			}
		}
	}
	return nil
}

// readClassified notes the classifications and their order. A replayed vacancy comes when it is replayed. At a switch the former encoder finishes what it owns while the new one
// begins, so each has its order.
func (a *audit) readClassified(ctx context.Context) error {
	type line struct {
		partition int32
		encoder   string
	}
	newest := map[line]int64{}
	return a.scan(ctx, kafka.Classified, nil, func(r *kgo.Record) error {
		c, err := kafka.CoordinatesOf(r)
		if err != nil || kafka.IsErasure(r) {
			return nil // not of the flow
		}
		here := a.at(c.Topic, c.Partition, c.Offset)
		if here == nil {
			return nil
		}
		here.count(&here.classified)
		in := line{r.Partition, a.owner(c.Partition, c.Offset)}
		if before, any := newest[in]; !here.replayed && here.classified == 1 {
			if r.Partition != c.Partition || any && before > c.Offset {
				a.result.find(&a.result.Reordered, c.Partition, c.Offset, fmt.Sprintf("classified in partition %d behind offset %d", r.Partition, before))
				return nil
			}
			newest[in] = c.Offset
		}
		return nil
	})
}

// readRows notes the rows of the views.
func (a *audit) readRows(ctx context.Context) error {
	if a.Warehouse == nil {
		return nil
	}
	read := func(view, where string, counter func(*outcome) *uint8) error {
		return a.Warehouse.ReadPlaces(ctx, view, where, uuid.UUID(a.Raw), func(partition int32, offset int64, rows uint64) {
			if here := a.at(a.Raw, partition, offset); here != nil {
				*counter(here) = uint8(min(rows, 255))
			}
		})
	}
	if err := read("predictions", "true", func(o *outcome) *uint8 { return &o.rows }); err != nil {
		return err
	}
	return read("dead_letters", "stage != 'sink' AND replayed_at IS NULL", func(o *outcome) *uint8 { return &o.letterRows })
}

// judge counts.
func (a *audit) judge() {
	r := &a.result
	for partition, list := range a.outcomes {
		for i, o := range list {
			offset := a.first[partition] + int64(i)
			found := func(count *int, format string, values ...any) {
				r.find(count, partition, offset, fmt.Sprintf(format, values...))
			}
			if !o.vacancy {
				if o.classified+o.letters > 0 {
					found(&r.Duplicated, "no vacancy stands there, but it has an outcome")
				}
				continue
			}
			r.Vacancies++
			switch {
			case o.erased:
				r.Erased++
			case int(o.classified)+int(o.letters) == 0:
				found(&r.Lost, "neither classified nor a dead letter%s", a.whose(partition, offset))
			case int(o.classified)+int(o.letters) > 1:
				found(&r.Duplicated, "%d times classified, %d times a dead letter", o.classified, o.letters)
			case o.classified == 1:
				r.Classified++
			default:
				r.Letters++
			}
			if a.Warehouse != nil {
				a.judgeRows(o, found)
			}
		}
	}
}

// whose says that a former encoder has to answer a vacancy.
func (a *audit) whose(partition int32, offset int64) string {
	if owner := a.owner(partition, offset); owner != a.Encoder {
		return fmt.Sprintf("; it is encoder %s's to answer, which was live: start its stages again", kafka.Short(owner))
	}
	return ""
}

func (a *audit) judgeRows(o outcome, found func(*int, string, ...any)) {
	for _, v := range []struct {
		view        string
		topic, rows uint8
	}{{"predictions", o.classified, o.rows}, {"dead_letters", o.letters, o.letterRows}} {
		want := min(v.topic, 1)
		if o.erased {
			want = 0
		}
		switch {
		case v.rows < want:
			found(&a.result.RowsMissing, "not in the view %s", v.view)
		case v.rows > want:
			found(&a.result.RowsExtra, "%d times in the view %s, want %d", v.rows, v.view, want)
		}
	}
}
