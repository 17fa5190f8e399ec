package kafka

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Names of what is declared of a topic: its two numbers, and settings as Kafka calls them.
const (
	partitionsName  = "partitions"
	replicationName = "replication.factor"
	cleanupName     = "cleanup.policy"
	retentionName   = "retention.ms"
	segmentName     = "segment.ms"
	maxMessageName  = "max.message.bytes"
	timestampName   = "message.timestamp.type"
	minInSyncName   = "min.insync.replicas"
)

// TopicSettings lists the settings that can be declared, by Kafka's names.
func TopicSettings() []string {
	return []string{cleanupName, retentionName, segmentName, maxMessageName, timestampName, minInSyncName}
}

// Declaration is the state that a topic is to have.
type Declaration struct {
	Topic string
	// Partitions of a topic that is created.
	Partitions int32
	// Named says that the operator named the count: one that is there and differs is then told of.
	Named bool
	// Replication is the replication factor; -1 leaves it to the broker and as it is.
	Replication int16
	// Settings are values by Kafka's names; what is not here is left as it is.
	Settings map[string]string
	// flow says that its partitions are those of the flow.
	flow bool
}

// Declare returns the built-in state of every topic of a flow with this encoder.
func Declare(encoder string, layout Layout) []Declaration {
	var all []Declaration
	for _, t := range Topics(encoder) {
		d := Declaration{Topic: t.Name, Partitions: layout.Partitions, Replication: layout.Replication, flow: t.Partitions == 0, Settings: map[string]string{
			cleanupName: "delete", retentionName: strconv.FormatInt(t.Retention.Milliseconds(), 10), maxMessageName: strconv.Itoa(MaxRecordBytes),
			// A broker deletes whole segments: a record stays until the youngest of its segment is old enough, at most a segment's time more.
			segmentName: strconv.FormatInt(day.Milliseconds(), 10),
		}}
		if t.Partitions > 0 {
			d.Partitions = t.Partitions
		}
		if beginsFlow(t.Name) {
			// A publisher's clock must not say when a record expires: one of the past would be deleted unread, one of the future kept for ever.
			d.Settings[timestampName] = "LogAppendTime"
		}
		if t.Compacted {
			d.Settings[cleanupName] = "compact"
			delete(d.Settings, retentionName)
			delete(d.Settings, segmentName)
		}
		all = append(all, d)
	}
	return all
}

// Override puts an operator's values over declarations, by topic and name. A topic's name may end in * and then stands for all that begin so; of several that
// fit, the longest counts. It reports every violation at once.
func Override(all []Declaration, values map[string]map[string]string) error {
	var wrong []error
	patterns := slices.SortedFunc(maps.Keys(values), func(a, b string) int { return len(a) - len(b) })
	for _, pattern := range patterns {
		prefix, many := strings.CutSuffix(pattern, "*")
		fits := false
		for i := range all {
			if all[i].Topic == pattern || many && strings.HasPrefix(all[i].Topic, prefix) {
				fits = true
				for _, name := range slices.Sorted(maps.Keys(values[pattern])) {
					if err := all[i].set(name, values[pattern][name], pattern != all[i].Topic); err != nil {
						wrong = append(wrong, fmt.Errorf("%s: %w", pattern, err))
					}
				}
			}
		}
		if !fits {
			wrong = append(wrong, fmt.Errorf("%s is no topic of this flow", pattern))
		}
	}
	seen := map[string]bool{} // a pattern's mistake is one, however many topics it stands for
	wrong = slices.DeleteFunc(wrong, func(err error) bool {
		known := seen[err.Error()]
		seen[err.Error()] = true
		return known
	})
	return errors.Join(append(wrong, consistent(all)...)...)
}

// set changes one value. What a pattern says of partitions goes past topics whose count is fixed.
func (d *Declaration) set(name, value string, pattern bool) error {
	number, err := strconv.ParseInt(value, 10, 64)
	within := func(least, most int64) error {
		if err != nil || number < least || number > most {
			return fmt.Errorf("%s (%s) must be %d to %d", name, value, least, most)
		}
		return nil
	}
	oneOf := func(values ...string) error {
		if !slices.Contains(values, value) {
			return fmt.Errorf("%s (%s) must be %s", name, value, strings.Join(values, " or "))
		}
		return nil
	}
	const most = 1 << 53
	switch name {
	case partitionsName:
		if err := within(1, 10_000); err != nil {
			return err
		}
		if !d.flow {
			if pattern || int32(number) == d.Partitions {
				return nil
			}
			return fmt.Errorf("%s (%s) must be %d for %s, which holds no vacancies", name, value, d.Partitions, d.Topic)
		}
		d.Partitions, d.Named = int32(number), true
		return nil
	case replicationName:
		if value == "-1" {
			d.Replication = -1
			return nil
		}
		if err := within(1, 32); err != nil {
			return err
		}
		d.Replication = int16(number)
		return nil
	case cleanupName:
		if pattern && d.Topic == Models {
			return nil // "all topics" means those that hold vacancies
		}
		if d.Topic == Models {
			if value != "compact" {
				return fmt.Errorf("%s (%s) must be compact for %s: it holds the models that are live", name, value, Models)
			}
			return nil
		}
		err = oneOf("delete", "compact", "compact,delete")
	case retentionName, segmentName:
		if d.Topic == Models && pattern {
			return nil
		}
		if name == retentionName && value == "-1" {
			err = nil
			break
		}
		err = within(60_000, most) // keeps a slip of the unit, seconds or days, from emptying a topic
	case maxMessageName:
		if err = within(MaxRecordBytes, 1<<31-1); err != nil {
			err = fmt.Errorf("%w: stages write records of up to %d bytes", err, MaxRecordBytes)
		}
	case timestampName:
		if err = oneOf("CreateTime", "LogAppendTime"); err == nil && value == "CreateTime" && beginsFlow(d.Topic) {
			if pattern {
				return nil
			}
			err = fmt.Errorf("%s (%s) must be LogAppendTime for %s: a publisher's clock must not say when a record expires", name, value, d.Topic)
		}
	case minInSyncName:
		err = within(1, 32)
	default:
		err = fmt.Errorf("%s cannot be declared: %s, %s, %s can", name, partitionsName, replicationName, strings.Join(TopicSettings(), ", "))
	}
	if err == nil {
		d.Settings[name] = value
	}
	return err
}

// consistent finds what does not fit together.
func consistent(all []Declaration) (wrong []error) {
	var flow *Declaration
	for i, d := range all {
		if least, given := d.Settings[minInSyncName]; given && d.Replication > 0 {
			if n, _ := strconv.Atoi(least); n > int(d.Replication) {
				wrong = append(wrong, fmt.Errorf("%s: %s (%s) must be at most its %s (%d), or nothing could be written", d.Topic, minInSyncName, least, replicationName, d.Replication))
			}
		}
		switch {
		case !d.flow:
		case flow == nil:
			flow = &all[i]
		case d.Partitions != flow.Partitions:
			wrong = append(wrong, fmt.Errorf("%s has %d partitions, %s has %d: a stage writes to the partition it reads, so they must be equal", d.Topic, d.Partitions, flow.Topic, flow.Partitions))
		}
	}
	return wrong
}
