package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// flawless returns what is seen of a run without a fault: two partitions of 100 vacancies each.
func flawless() Observed {
	o := Observed{Acknowledged: map[Place]string{}, Raw: map[Place]string{}, Bad: isBad}
	n := 0
	for partition := range int32(2) {
		for offset := range int64(100) {
			id := fmt.Sprintf("%s%07d", idPrefix, n)
			n++
			raw := Place{partition, offset}
			o.Acknowledged[raw], o.Raw[raw] = id, id
			// Transactions' ends take offsets, too.
			record, row := Outcome{Raw: raw, ID: id, At: Place{partition, offset + offset/10}}, Outcome{Raw: raw, ID: id}
			if isBad(id) {
				o.Letters, o.LetterRows = append(o.Letters, record), append(o.LetterRows, row)
				continue
			}
			o.Embedded, o.Embeddings = append(o.Embedded, record), append(o.Embeddings, row)
			o.Classified, o.Predictions = append(o.Classified, record), append(o.Predictions, row)
		}
	}
	return o
}

func TestCheckAcceptsWhatIsRight(t *testing.T) {
	f := func(name string, change func(o *Observed)) {
		t.Helper()
		o := flawless()
		change(&o)
		if v := Check(o); !v.OK() || len(v.Findings) > 0 || v.Classified != 196 || v.Letters != 4 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	f("all is well", func(*Observed) {})
	f("an acknowledgement was lost, the vacancy was not", func(o *Observed) { delete(o.Acknowledged, Place{1, 7}) })
	f("the API accepted some of them", func(o *Observed) {
		for _, place := range []Place{{0, 3}, {1, 25}} {
			o.Accepted = append(o.Accepted, o.Raw[place])
			delete(o.Acknowledged, place)
		}
	})
	f("partitions are read in any order", func(o *Observed) { slices.Reverse(o.Classified); slices.Reverse(o.Predictions) })
}

func TestCheckFindsEachFault(t *testing.T) {
	at := func(o *Observed, list []Outcome, p Place) int {
		return slices.IndexFunc(list, func(r Outcome) bool { return r.Raw == p })
	}
	drop := func(list *[]Outcome, o *Observed, p Place) {
		i := at(o, *list, p)
		*list = slices.Delete(*list, i, i+1)
	}
	again := func(list *[]Outcome, o *Observed, p Place, offset int64) {
		r := (*list)[at(o, *list, p)]
		r.At.Offset = offset
		*list = append(*list, r)
	}
	good, bad := Place{1, 7}, Place{1, 25}
	f := func(name string, lost, duplicated, reordered int, finding string, change func(o *Observed)) {
		t.Helper()
		o := flawless()
		change(&o)
		v := Check(o)
		if v.Lost != lost || v.Duplicated != duplicated || v.Reordered != reordered || v.OK() {
			t.Errorf("%s: lost %d, duplicated %d, reordered %d, want %d, %d, %d: %q", name, v.Lost, v.Duplicated, v.Reordered, lost, duplicated, reordered, v.Findings)
		}
		if !strings.Contains(strings.Join(v.Findings, "\n"), finding) {
			t.Errorf("%s: %q does not say %q", name, v.Findings, finding)
		}
	}
	f("Kafka forgot what it acknowledged", 1, 0, 0, "acknowledged, but not on the raw topic", func(o *Observed) { o.Acknowledged[Place{0, 500}] = "chaos-0000500" })
	f("the API accepted what is not there", 1, 0, 0, "accepted by the API, but not on the raw topic", func(o *Observed) { o.Accepted = []string{o.Raw[good], "api-0000500"} })
	f("another is in its place", 1, 0, 0, "the raw topic holds chaos-0000107", func(o *Observed) { o.Acknowledged[good] = "chaos-0000999" })
	f("published twice", 1, 1, 0, "holds it at", func(o *Observed) { o.Raw[Place{1, 100}] = o.Raw[good] }) // and the second was not classified
	f("lost", 1, 0, 0, "neither classified nor a dead letter", func(o *Observed) { drop(&o.Classified, o, good); drop(&o.Predictions, o, good) })
	f("a dead letter is lost", 1, 0, 0, "neither classified nor a dead letter", func(o *Observed) { drop(&o.Letters, o, bad); drop(&o.LetterRows, o, bad) })
	f("classified twice", 0, 1, 0, "2 times classified", func(o *Observed) { again(&o.Classified, o, good, 300) })
	f("a batch classified again is no disorder", 0, 3, 0, "2 times classified", func(o *Observed) {
		for k := range int64(3) {
			again(&o.Classified, o, Place{1, 7 + k}, 300+k)
		}
	})
	f("two dead letters", 0, 1, 0, "2 times a dead letter", func(o *Observed) { again(&o.Letters, o, bad, 300) })
	f("classified and a dead letter", 0, 1, 0, "1 times classified, 1 times a dead letter", func(o *Observed) {
		r := o.Classified[at(o, o.Classified, good)]
		o.Letters, o.LetterRows = append(o.Letters, r), append(o.LetterRows, r)
	})
	f("a good one is refused", 1, 0, 0, "a dead letter, but it is good", func(o *Observed) {
		r := o.Classified[at(o, o.Classified, good)]
		o.Letters, o.LetterRows = append(o.Letters, r), append(o.LetterRows, r)
		drop(&o.Classified, o, good)
		drop(&o.Predictions, o, good)
	})
	f("a bad one is classified", 1, 0, 0, "classified, but it is bad", func(o *Observed) {
		r := o.Letters[at(o, o.Letters, bad)]
		o.Classified, o.Predictions = append(o.Classified, r), append(o.Predictions, r)
		drop(&o.Letters, o, bad)
		drop(&o.LetterRows, o, bad)
	})
	f("from nowhere", 0, 1, 0, "not on the raw topic", func(o *Observed) {
		o.Classified = append(o.Classified, Outcome{Raw: nowhere, ID: "x", At: Place{0, 300}})
	})
	f("under another's coordinates", 1, 0, 0, "has chaos-0000999 in its place", func(o *Observed) { o.Classified[at(o, o.Classified, good)].ID = "chaos-0000999" })
	f("out of order", 0, 0, 1, "behind offset 8 on the classified topic", func(o *Observed) {
		a, b := at(o, o.Classified, good), at(o, o.Classified, Place{1, 8})
		o.Classified[a].At, o.Classified[b].At = o.Classified[b].At, o.Classified[a].At
	})
	f("late", 0, 0, 1, "behind offset 99 on the classified topic", func(o *Observed) { o.Classified[at(o, o.Classified, good)].At.Offset = 300 })
	f("on another partition", 0, 0, 1, "partition 0 of the classified topic", func(o *Observed) { o.Classified[at(o, o.Classified, good)].At = Place{0, 300} })
	f("dead letters out of order", 0, 0, 1, "on the dead letters", func(o *Observed) { o.Letters[at(o, o.Letters, bad)].At.Offset = 300 })
	f("ClickHouse lacks a prediction", 1, 0, 0, "not in the view predictions", func(o *Observed) { drop(&o.Predictions, o, good) })
	f("ClickHouse lacks an embedding", 1, 0, 0, "not in the view embeddings", func(o *Observed) { drop(&o.Embeddings, o, good) })
	f("ClickHouse lacks a dead letter", 1, 0, 0, "not in the view dead_letters", func(o *Observed) { drop(&o.LetterRows, o, bad) })
	f("ClickHouse has a prediction twice", 0, 1, 0, "twice in the view predictions", func(o *Observed) { again(&o.Predictions, o, good, 0) })
	f("ClickHouse has a prediction of what is not classified", 0, 1, 0, "in the view predictions, but not on its topic", func(o *Observed) {
		o.Predictions = append(o.Predictions, Outcome{Raw: bad, ID: o.Raw[bad]})
	})
	f("ClickHouse has what nobody published", 0, 1, 0, "in the view embeddings, but not on the raw topic", func(o *Observed) {
		o.Embeddings = append(o.Embeddings, Outcome{Raw: Place{0, 900}, ID: "x"})
	})
}
