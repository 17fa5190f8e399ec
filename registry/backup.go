package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
	"jobstrom/sealed"
)

// ErrOtherChampion is returned when a backup would put another champion in the place of one.
var ErrOtherChampion = errors.New("the registry has another champion than the backup")

// Backup is what the registry's topics hold: classifiers, aliases and live encoders as they stand, and the whole history.
type Backup struct {
	Version string
	At      time.Time
	records []kept
}

// backupHead is a file's first line, kept each that follows.
type backupHead struct {
	Registry int       `json:"registry"` // version of the format
	Version  string    `json:"version"`
	At       time.Time `json:"at"`
}

type kept struct {
	Topic   string       `json:"topic"`
	Offset  int64        `json:"offset"` // of the history: its place, which orders it
	Key     []byte       `json:"key"`
	Value   []byte       `json:"value"`
	Headers []keptHeader `json:"headers"`
}

type keptHeader struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

const backupFormat = 1

// ReadBackup takes a backup of the registry as it stands now.
func ReadBackup(ctx context.Context, o kafka.Options, version string) (*Backup, error) {
	b := &Backup{Version: version, At: time.Now().UTC()}
	newest := map[string]kept{}
	err := kafka.Scan(ctx, o, kafka.ScanOptions{Topics: []string{kafka.Models, kafka.ModelHistory}}, func(r *kgo.Record) error {
		k := kept{Topic: r.Topic, Offset: r.Offset, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			k.Headers = append(k.Headers, keptHeader{h.Key, h.Value})
		}
		switch {
		case r.Topic == kafka.ModelHistory:
			k.Offset = kafka.HistoryPlace(r)
			b.records = append(b.records, k)
		case r.Value == nil:
			delete(newest, string(r.Key))
		default:
			newest[string(r.Key)] = k
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("backing up the registry: %w", err)
	}
	b.records = append(b.records, slices.SortedFunc(maps.Values(newest), func(a, b kept) int { return cmp.Compare(a.Offset, b.Offset) })...)
	return b, nil
}

// Write writes the backup as a sealed file.
func (b *Backup) Write(to io.Writer) error {
	w := sealed.NewWriter(to)
	err := w.Write(backupHead{backupFormat, b.Version, b.At})
	for _, k := range b.records {
		if err == nil {
			err = w.Write(k)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("writing the registry's backup: %w", err)
	}
	return nil
}

// OpenBackup reads a file that Write wrote, all of it or nothing.
func OpenBackup(from io.Reader) (*Backup, error) {
	b, head := &Backup{}, backupHead{}
	err := sealed.Read(from, func(line []byte) error {
		if head.Registry == 0 {
			if err := json.Unmarshal(line, &head); err != nil || head.Registry == 0 {
				return errors.New("it is no backup of models")
			}
			if head.Registry > backupFormat {
				return fmt.Errorf("the backup has format %d, made by jobstrom %s; this one knows %d: use a newer jobstrom", head.Registry, head.Version, backupFormat)
			}
			b.Version, b.At = head.Version, head.At
			return nil
		}
		var k kept
		if err := json.Unmarshal(line, &k); err != nil || k.Topic != kafka.Models && k.Topic != kafka.ModelHistory {
			return errors.New("it is no record of the registry")
		}
		b.records = append(b.records, k)
		return nil
	})
	if err == nil && head.Registry == 0 {
		err = errors.New("it is no backup of models")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the registry's backup: %w", err)
	}
	return b, nil
}

// Contents is what the backup holds.
func (b *Backup) Contents() *Contents {
	c := newContents()
	for _, k := range b.records {
		c.take(k.record())
	}
	return c
}

func (k kept) record() *kgo.Record {
	r := &kgo.Record{Topic: k.Topic, Offset: k.Offset, Key: k.Key, Value: k.Value}
	for _, h := range k.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
	}
	return r
}

// Restoration says what a restore wrote.
type Restoration struct {
	Models    int `json:"models"`
	Events    int `json:"events"`
	Champions int `json:"champions"`
	// Kept names what was left as it is because the registry says otherwise.
	Kept []string `json:"kept"`
}

// Restore writes what the registry lacks of a backup, in one transaction: classifiers, history, aliases, and who is live where nothing says so. With replace the backup's champions take the
// place of others; without it such a champion is ErrOtherChampion, and nothing is written. What the registry has besides stays. It may be repeated.
func (w Writer) Restore(ctx context.Context, b *Backup, replace bool) (Restoration, error) {
	var done Restoration
	_, err := w.change(ctx, func(c *change) error {
		done = Restoration{Kept: []string{}}
		return c.restore(b, replace, &done)
	})
	if err == nil {
		err = w.passPlaces(ctx, b)
	}
	if err != nil {
		return done, fmt.Errorf("restoring the registry: %w", err)
	}
	return done, nil
}

func (c *change) restore(b *Backup, replace bool, done *Restoration) error {
	backed, known := b.Contents(), map[string]bool{}
	for _, e := range c.History {
		known[e.Id] = true
	}
	promoted := map[Scope]string{}
	var different []string
	for _, k := range b.records {
		r, key, parts := k.record(), string(k.Key), strings.Split(string(k.Key), "/")
		switch {
		case k.Topic == kafka.ModelHistory:
			e := &schemas.ModelEvent{}
			if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, e); err != nil || known[e.Id] {
				continue
			}
			kafka.SetHistoryPlace(r, k.Offset)
			c.records = append(c.records, r)
			done.Events++
		case IsModel(key):
			if m := backed.Models[key]; m != nil && c.Models[key] == nil {
				c.Models[key] = m
				c.records = append(c.records, r)
				done.Models++
			}
		case parts[0] == Champion && len(parts) == 3:
			scope := Scope{parts[1], parts[2]}
			switch live := c.Champions[scope]; {
			case live == string(r.Value):
			case live == "":
				c.records = append(c.records, r)
				done.Champions++
			case !replace:
				different = append(different, fmt.Sprintf("of encoder %s it is %.12s, in the backup %.12s", kafka.Short(scope.Encoder), live, r.Value))
			default:
				promoted[scope] = string(r.Value)
				done.Champions++
			}
		case parts[0] == Challenger && len(parts) == 4:
			scope := Scope{parts[1], parts[2]}
			if !slices.Contains(c.Challengers[scope], parts[3]) && c.Champions[scope] != parts[3] && len(c.Challengers[scope]) < MaxChallengers {
				c.Challengers[scope] = append(c.Challengers[scope], parts[3])
				c.records = append(c.records, r)
			}
		case parts[0] == Live && len(parts) == 2:
			switch value, err := schemas.Encode(schemas.Protobuf, backed.live[parts[1]]); {
			case err != nil:
			case c.live[parts[1]] == nil:
				c.records = append(c.records, r)
			default:
				if now, err := schemas.Encode(schemas.Protobuf, c.live[parts[1]]); err == nil && !bytes.Equal(now, value) {
					done.Kept = append(done.Kept, "which encoder is live: jobstrom models switch changes it")
				}
			}
		}
	}
	if len(different) > 0 {
		return fmt.Errorf("%w (%s): restore with --replace, or leave it", ErrOtherChampion, strings.Join(different, "; "))
	}
	for _, scope := range slices.SortedFunc(maps.Keys(promoted), func(a, b Scope) int { return cmp.Compare(a.Encoder, b.Encoder) }) {
		if c.Models[promoted[scope]] == nil {
			return fmt.Errorf("the backup's champion %.12s is not among its classifiers", promoted[scope])
		}
		c.promote(Promoted, scope, promoted[scope], "restored from a backup of "+b.At.Format(time.RFC3339))
	}
	return nil
}

// passPlaces lets the history's topic end behind every place that the backup's lines had: ClickHouse orders the history by places, and what comes next must stand behind. Records of a
// transaction that is aborted take places and nobody reads them.
func (w Writer) passPlaces(ctx context.Context, b *Backup) error {
	last := int64(-1)
	for _, k := range b.records {
		if k.Topic == kafka.ModelHistory {
			last = max(last, k.Offset)
		}
	}
	client, err := kafka.NewClient(w.Kafka, kgo.TransactionalID(writerID), kgo.TransactionTimeout(cmp.Or(w.TransactionTimeout, 10*time.Second)), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, kafka.ModelHistory)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("asking where %s ends: %w", kafka.ModelHistory, err)
	}
	end, _ := ends.Lookup(kafka.ModelHistory, 0)
	if end.Offset > last {
		return nil
	}
	fill := make([]*kgo.Record, last-end.Offset+1)
	for i := range fill {
		fill[i] = &kgo.Record{Topic: kafka.ModelHistory, Key: []byte("place " + strconv.Itoa(i))}
	}
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := client.BeginTransaction(); err != nil {
		return fmt.Errorf("passing the places of the backup's history: %w", err)
	}
	err = client.ProduceSync(work, fill...).FirstErr()
	if err := errors.Join(err, client.EndTransaction(work, kgo.TryAbort)); err != nil {
		return fmt.Errorf("passing the places of the backup's history: %w", err)
	}
	return nil
}
