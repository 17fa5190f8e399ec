package gliner2

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every span of a text belongs to one chunk, which holds it whole, and no chunk is longer than it may be.
func TestChunksHoldEverySpan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 12).Draw(t, "width")
		words := rapid.IntRange(max(16, 2*width), 200).Draw(t, "words")
		overlap := rapid.IntRange(-1, words/2).Draw(t, "overlap")
		tokens := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 1, 1, 2, 3, 40, tokensOfWord}), 0, 1000).Draw(t, "tokens")
		all := chunks(tokens, words, overlap, width)
		owned := 0
		for i, c := range all {
			if c.first != owned || c.owned < c.first || c.from > c.first || c.to > len(tokens) || c.to-c.from > words {
				t.Fatalf("chunk %d is %+v, spans before %d are others'", i, c, owned)
			}
			if i < len(all)-1 && c.owned-1+width > c.to {
				t.Fatalf("chunk %d, %+v, is left by a span of %d words", i, c, width)
			}
			sum := 0
			for _, n := range tokens[c.from:c.to] {
				sum += n
			}
			if sum > words*tokensPerWord && c.to-c.from > 2*width {
				t.Fatalf("chunk %d, %+v, has %d tokens", i, c, sum)
			}
			owned = c.owned
		}
		if owned != len(tokens) {
			t.Fatalf("the spans from word %d on belong to nobody", owned)
		}
	})
}

func TestChunks(t *testing.T) {
	f := func(n, words, overlap int, want string) {
		t.Helper()
		tokens := slices.Repeat([]int{2}, n)
		if got := fmt.Sprint(chunks(tokens, words, overlap, 8)); got != want {
			t.Errorf("%d words in chunks of %d that overlap by %d are %s, want %s", n, words, overlap, got, want)
		}
	}
	f(0, 384, 64, "[{0 0 0 0}]")
	f(384, 384, 64, "[{0 384 0 384}]")
	f(385, 384, 64, "[{0 225 0 193} {161 385 193 385}]") // of about equal size
	f(1000, 384, 64, "[{0 376 0 344} {312 688 344 656} {624 1000 656 1000}]")
	f(1000, -1, 64, "[{0 1000 0 1000}]")
	f(50, 32, -1, "[{0 29 0 22} {21 50 22 50}]")
}

// A chunk finds in a text what it finds alone, and chunks together find what they find each for itself.
func TestChunksFindWhatTheyFindAlone(t *testing.T) {
	text := strings.Repeat("Vi søger en sygeplejerske til nattevagt i Odense. Du har autorisation, erfaring med akutte forløb og godt humør! ", 6)
	for _, mode := range Modes() {
		long := openModel(t, "tiny", Options{Mode: mode, MaxWords: 40, Overlap: 12, Labels: []Label{{Name: "kompetencer", Threshold: .3}, {Name: "by", Threshold: .3}}})
		whole := openModel(t, "", Options{Dir: long.options.Dir, Mode: mode, MaxWords: -1, Labels: long.labels})
		d := long.read(long.prompt, text)
		must(t, long.each(t.Context(), slices.Clone(d.rows), long.find))
		if len(d.rows) < 3 {
			t.Fatalf("%d chunks", len(d.rows))
		}
		runes, found := []rune(text), 0
		for _, r := range d.rows {
			c := r.chunk
			from, to := d.words[c.from].start, min(d.words[c.to-1].end, len(runes))
			alone := whole.read(whole.prompt, string(runes[from:to]))
			must(t, whole.each(t.Context(), alone.rows, whole.find))
			var want []candidate
			for _, a := range alone.rows[0].found {
				if a.first, a.last = a.first+c.from, a.last+c.from; a.first >= c.first && a.first < c.owned && a.last < c.to {
					want = append(want, a)
				}
			}
			if !slices.EqualFunc(want, r.found, func(a, b candidate) bool {
				return a.label == b.label && a.first == b.first && a.last == b.last && math.Abs(float64(a.score-b.score)) < 1e-5
			}) {
				t.Errorf("%s, chunk %+v: found %v, alone %v", mode, c, r.found, want)
			}
			found += len(want)
		}
		if found < 50 {
			t.Errorf("%s: only %d candidates were compared", mode, found)
		}
		entities, err := long.Extract(t.Context(), []string{text})
		must(t, err)
		last := slices.MaxFunc(entities[0], func(a, b Entity) int { return a.End - b.End })
		if mode == ONNX && last.End < len(text)*8/10 { // in the mode native a repeat is the first's
			t.Errorf("nothing is found behind byte %d of %d", last.End, len(text))
		}
	}
}

// Chunks are weighed by their words, and probabilities sum to 1 in any number of them.
func TestClassifyLongText(t *testing.T) {
	m := openModel(t, "tiny", Options{MaxWords: 16, Overlap: -1})
	for _, text := range []string{"Murer", strings.Repeat("Vi søger en murer. ", 30)} {
		p, err := m.Classify(t.Context(), []string{text}, []string{"Bygge og anlæg", "It og teleteknik", "Elever"})
		must(t, err)
		var sum float64
		for _, v := range p[0] {
			sum += float64(v)
		}
		if math.Abs(sum-1) > 1e-6 || len(p[0]) != 3 {
			t.Errorf("the probabilities are %v", p[0])
		}
	}
}
