package chaos

import (
	"fmt"
	"slices"
)

// Place is a partition and an offset of the raw topic: the identity of a vacancy.
type Place struct {
	Partition int32
	Offset    int64
}

// nowhere is the place of what names none of the raw topic's.
var nowhere = Place{-1, -1}

// Outcome is what a record or a row says of a vacancy.
type Outcome struct {
	// Raw is the place that it names, ID the vacancy's.
	Raw Place
	ID  string
	// At is where the record lies on its own topic; not set for rows.
	At Place
}

// Observed is what was seen of a run.
type Observed struct {
	// Acknowledged holds the id of each vacancy that Kafka acknowledged, by the place that the acknowledgement names.
	Acknowledged map[Place]string
	// Accepted holds the ids of the vacancies that the API has acknowledged, which names no places.
	Accepted []string
	// Raw holds the ids of all that the raw topic holds: what was acknowledged, and what was written although its acknowledgement was lost.
	Raw map[Place]string
	// Bad says of an id that its vacancy must be refused.
	Bad func(id string) bool

	// Records that a reader of committed records sees.
	Classified, Letters, Embedded []Outcome
	// Rows of the views.
	Predictions, LetterRows, Embeddings []Outcome
}

// Verdict counts what is wrong.
type Verdict struct {
	Acknowledged, Classified, Letters int // Acknowledged counts what the API accepted, too
	Lost, Duplicated, Reordered       int
	// Findings say each fault in words.
	Findings []string
}

// OK says that nothing is wrong.
func (v Verdict) OK() bool { return v.Lost == 0 && v.Duplicated == 0 && v.Reordered == 0 }

func (v *Verdict) find(count *int, by int, format string, args ...any) {
	*count += by
	v.Findings = append(v.Findings, fmt.Sprintf(format, args...))
}

// Check judges a run: every vacancy on the raw topic is exactly once on the classified topic, or exactly once among the dead letters if it is bad; each topic
// holds them in the order of their raw partition; ClickHouse's views hold what the topics hold.
func Check(o Observed) Verdict {
	v := Verdict{Acknowledged: len(o.Acknowledged) + len(o.Accepted), Classified: len(o.Classified), Letters: len(o.Letters)}
	for _, place := range sorted(o.Acknowledged) {
		if id, there := o.Raw[place]; !there {
			v.find(&v.Lost, 1, "%v %s: acknowledged, but not on the raw topic", place, o.Acknowledged[place])
		} else if id != o.Acknowledged[place] {
			v.find(&v.Lost, 1, "%v %s: acknowledged, but the raw topic holds %s there", place, o.Acknowledged[place], id)
		}
	}
	first := map[string]Place{}
	for _, place := range sorted(o.Raw) {
		id := o.Raw[place]
		if before, twice := first[id]; twice {
			v.find(&v.Duplicated, 1, "%v %s: the raw topic holds it at %v, too", place, id, before)
		}
		first[id] = place
	}

	for _, id := range o.Accepted {
		if _, there := first[id]; !there {
			v.find(&v.Lost, 1, "%s: accepted by the API, but not on the raw topic", id)
		}
	}

	classified := v.topic(o, "classified topic", o.Classified)
	letters := v.topic(o, "dead letters", o.Letters)
	embedded := map[Place]int{}
	for _, e := range o.Embedded {
		embedded[e.Raw]++
	}
	for _, place := range sorted(o.Raw) {
		id := o.Raw[place]
		bad := o.Bad(id)
		switch n := classified[place] + letters[place]; {
		case n == 0:
			v.find(&v.Lost, 1, "%v %s: neither classified nor a dead letter", place, id)
		case n > 1:
			v.find(&v.Duplicated, n-1, "%v %s: %d times classified, %d times a dead letter", place, id, classified[place], letters[place])
		case bad && classified[place] == 1:
			v.find(&v.Lost, 1, "%v %s: classified, but it is bad", place, id)
		case !bad && letters[place] == 1:
			v.find(&v.Lost, 1, "%v %s: a dead letter, but it is good", place, id)
		}
	}
	v.rows(o, "predictions", o.Predictions, classified)
	v.rows(o, "dead_letters", o.LetterRows, letters)
	v.rows(o, "embeddings", o.Embeddings, embedded)
	return v
}

// topic counts the records of each vacancy, and checks that they name one and stand in the order of its raw partition. A record that is there again is counted as
// a duplicate by Check; only what was never there before can be out of order.
func (v *Verdict) topic(o Observed, name string, records []Outcome) map[Place]int {
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b Outcome) int { return compare(a.At, b.At) })
	count, newest := map[Place]int{}, map[int32]int64{}
	for _, r := range records {
		if !v.known(o, name, r) {
			continue
		}
		if count[r.Raw]++; count[r.Raw] > 1 {
			continue
		}
		if r.At.Partition != r.Raw.Partition {
			v.find(&v.Reordered, 1, "%v %s: partition %d of the %s", r.Raw, r.ID, r.At.Partition, name)
			continue
		}
		if before, any := newest[r.Raw.Partition]; any && before > r.Raw.Offset {
			v.find(&v.Reordered, 1, "%v %s: behind offset %d on the %s", r.Raw, r.ID, before, name)
			continue
		}
		newest[r.Raw.Partition] = r.Raw.Offset
	}
	return count
}

// rows compares a view with what the topic holds.
func (v *Verdict) rows(o Observed, view string, rows []Outcome, topic map[Place]int) {
	count := map[Place]int{}
	for _, r := range rows {
		if !v.known(o, "view "+view, r) {
			continue
		}
		if count[r.Raw]++; count[r.Raw] > 1 {
			v.find(&v.Duplicated, 1, "%v %s: twice in the view %s", r.Raw, r.ID, view)
		} else if topic[r.Raw] == 0 {
			v.find(&v.Duplicated, 1, "%v %s: in the view %s, but not on its topic", r.Raw, r.ID, view)
		}
	}
	for _, place := range sorted(topic) {
		if count[place] == 0 {
			v.find(&v.Lost, 1, "%v %s: on its topic, but not in the view %s", place, o.Raw[place], view)
		}
	}
}

// known checks that an outcome names a vacancy of the raw topic, and the right one.
func (v *Verdict) known(o Observed, where string, r Outcome) bool {
	id, there := o.Raw[r.Raw]
	switch {
	case !there:
		v.find(&v.Duplicated, 1, "%v %s: in the %s, but not on the raw topic", r.Raw, r.ID, where)
	case r.ID != id:
		v.find(&v.Lost, 1, "%v %s: the %s has %s in its place", r.Raw, id, where, r.ID)
	}
	return there
}

func (p Place) String() string {
	return fmt.Sprintf("raw partition %d, offset %d:", p.Partition, p.Offset)
}

func compare(a, b Place) int {
	if a.Partition != b.Partition {
		return int(a.Partition) - int(b.Partition)
	}
	return int(min(max(a.Offset-b.Offset, -1), 1))
}

func sorted[V any](m map[Place]V) []Place {
	places := make([]Place, 0, len(m))
	for place := range m {
		places = append(places, place)
	}
	slices.SortFunc(places, compare)
	return places
}
