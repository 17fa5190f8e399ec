package gliner2

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Of a label's candidates the best are kept, none of which overlaps another; what is not kept overlaps one that is at least as good, or repeats it.
func TestDecodeKeepsTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom(Modes()).Draw(t, "mode")
		m := &Model{options: Options{Mode: mode}, labels: make([]Label, 3)}
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "A", "İ", "ny", "-"}), 1, 30).Draw(t, "words")
		d := newDocument(strings.Join(words, " "), mode)
		given := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) candidate {
			first := rapid.IntRange(0, len(d.words)-1).Draw(t, "first")
			return candidate{
				label: rapid.IntRange(0, 2).Draw(t, "label"), score: rapid.SampledFrom([]float32{.5, .6, .75, 1, 1}).Draw(t, "score"),
				first: first, last: min(len(d.words)-1, first+rapid.IntRange(0, 7).Draw(t, "width")),
			}
		}), 0, 60).Draw(t, "candidates")
		given0 := append([]candidate(nil), given...)
		kept := m.decode(d, given)
		seen := map[string]bool{}
		for i, e := range kept {
			if i > 0 {
				before := kept[i-1]
				byLabel := mode == Native && before.Label != e.Label
				if byLabel && before.Label > e.Label || !byLabel && before.Score < e.Score {
					t.Fatalf("%+v comes before %+v", before, e)
				}
			}
			for _, other := range kept[:i] {
				if other.Label == e.Label && e.Start < other.End && e.End > other.Start {
					t.Fatalf("%+v and %+v overlap", other, e)
				}
			}
			if key := fmt.Sprint(e.Label, lowerText(e.Text)); mode == Native {
				if seen[key] || e.Text == "" || e.Text != trim(e.Text) {
					t.Fatalf("%+v is empty, not trimmed or a repeat", e)
				}
				seen[key] = true
			}
		}
		for _, c := range given0 {
			e, covered := d.entity(c), false
			for _, k := range kept {
				covered = covered || k.Label == e.Label && k.Score >= e.Score
			}
			if !covered && trim(e.Text) != "" {
				t.Fatalf("%+v is lost: kept are %+v", e, kept)
			}
		}
	})
}

// In 32 bits great scores become equal, and then the first span is the best.
func TestSigmoid(t *testing.T) {
	for _, mode := range Modes() {
		if mode.sigmoid(0) != .5 || mode.sigmoid(17) != 1 || mode.sigmoid(16) >= 1 || mode.sigmoid(-200) != 0 || mode.sigmoid(200) != 1 {
			t.Errorf("%s: %g %g %g %g", mode, mode.sigmoid(0), mode.sigmoid(16), mode.sigmoid(17), mode.sigmoid(-200))
		}
	}
}

// Where words have no tokens the vectors are taken for the words of their number, and spans beyond the last vector have the score of the first word, as in gliner2.
func TestCandidatesBeyondTheVectors(t *testing.T) {
	m := &Model{options: Options{Mode: Native}, labels: []Label{{Threshold: .5}}}
	m.card.MaxWidth = 2
	logits := []float32{1, -1, 0 /* padding */, -1, 9, 0}
	got := fmt.Sprint(m.candidates(logits, 3, 2, chunk{to: 3, owned: 3}))
	if want := fmt.Sprint([]candidate{{0, m.options.Mode.sigmoid(1), 0, 0}, {0, m.options.Mode.sigmoid(1), 1, 2}}); got != want {
		t.Errorf("the candidates are %s, want %s", got, want)
	}
	m.options.Mode = ONNX
	got = fmt.Sprint(m.candidates(logits, 3, 2, chunk{to: 3, owned: 3}))
	if want := fmt.Sprint([]candidate{{0, m.options.Mode.sigmoid(1), 0, 0}}); got != want {
		t.Errorf("the candidates are %s, want %s", got, want)
	}
}
