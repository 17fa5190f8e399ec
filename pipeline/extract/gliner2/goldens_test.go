package gliner2

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldenWord is [word, start, end].
type goldenWord struct {
	Text       string
	Start, End int
}

func (w *goldenWord) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&w.Text, &w.Start, &w.End})
}

type goldenText struct {
	ID     string
	Text   string
	Parts  []json.RawMessage // [text, times]
	Suffix string            `json:"native_text_suffix"`
	Native []goldenWord      `json:"native_words"`
	ONNX   []goldenWord      `json:"onnx_words"`
}

type goldenPrompt struct {
	Text, Labels string
	Native, ONNX *goldenIDs
}

type goldenIDs struct {
	IDs       []int64 `json:"ids"`
	Task      int     `json:"p_pos"`
	Labels    []int   `json:"e_pos"`
	TextStart int     `json:"text_start"`
	First     []int   `json:"first"`
}

type goldenCase struct {
	Text, Labels, Model string
	Threshold           float32
	Native              goldenAnswer
	ONNX                *goldenAnswer
}

type goldenAnswer struct {
	Count    int
	Entities []goldenEntity
	Lists    map[string][]string
	Gap      *float64
	OrderGap *float64 `json:"order_gap"`
	Tensors  map[string]goldenTensor
	Error    string
}

type goldenEntity struct {
	Label, Text string
	Score       float32
	Start, End  int
}

type goldenTensor struct {
	Shape          []int
	Data           string
	Mean, Min, Max float64
	Probe          [][2]float64
}

type goldenClasses struct {
	Text, Model string
	Labels      []string
	Native      struct {
		IDs           []int64 `json:"ids"`
		Labels        []int   `json:"l_pos"`
		Probabilities []float32
		Best          string
	}
	ONNX struct {
		IDs         []int64 `json:"ids"`
		Best        string
		Probability float32
		Error       string
	}
}

// goldens are what gliner2 1.2.4 and gliner2-onnx 0.1.1 answer, see make_goldens.py.
type goldens struct {
	texts   map[string]goldenText
	labels  map[string][]Label
	prompts []goldenPrompt
	cases   []goldenCase
	classes []goldenClasses
}

// longest is the text of 3,000 words, which takes as long as all others together.
const longest = "thousands"

func readGoldens(t *testing.T) goldens {
	t.Helper()
	g := goldens{texts: map[string]goldenText{}, labels: map[string][]Label{}}
	f, err := os.Open("testdata/goldens.jsonl.gz")
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var kind struct{ Record string }
		must(t, json.Unmarshal(lines.Bytes(), &kind))
		read := func(into any) { must(t, json.Unmarshal(lines.Bytes(), into)) }
		switch kind.Record {
		case "text":
			var r goldenText
			read(&r)
			for _, p := range r.Parts {
				var part string
				var times int
				must(t, json.Unmarshal(p, &[]any{&part, &times}))
				r.Text += strings.Repeat(part, times)
			}
			g.texts[r.ID] = r
		case "labels":
			var r struct {
				ID     string
				Labels []Label
			}
			read(&r)
			g.labels[r.ID] = r.Labels
		case "prompt":
			g.prompts = append(g.prompts, goldenPrompt{})
			read(&g.prompts[len(g.prompts)-1])
		case "case":
			g.cases = append(g.cases, goldenCase{})
			read(&g.cases[len(g.cases)-1])
		case "classify":
			g.classes = append(g.classes, goldenClasses{})
			read(&g.classes[len(g.classes)-1])
		}
	}
	must(t, lines.Err())
	if len(g.texts) < 60 || len(g.cases) < 200 || len(g.prompts) < 60 || len(g.classes) < 10 {
		t.Fatalf("the goldens have %d texts, %d cases, %d prompts, %d of classes", len(g.texts), len(g.cases), len(g.prompts), len(g.classes))
	}
	return g
}

// goldenModels opens the models of the goldens in a mode. Texts are read at once, as the references do.
func goldenModels(t *testing.T, mode Mode, names ...string) map[string]*Model {
	t.Helper()
	all := map[string]*Model{}
	for _, name := range names {
		all[name] = openModel(t, name, Options{Mode: mode, MaxWords: -1, Workers: 1})
		if m := all[name]; m.spans == nil || m.alone || m.labelsApart {
			t.Fatalf("%s is not run the fast way: %q", name, m.Notes())
		}
	}
	return all
}

func TestWordsEqualTheReference(t *testing.T) {
	for id, text := range readGoldens(t).texts {
		for _, mode := range Modes() {
			want := text.ONNX
			if mode == Native {
				want = text.Native
			}
			d := newDocument(text.Text, mode)
			if mode == Native && d.appended != text.Suffix {
				t.Errorf("%s: %q is added, want %q", id, d.appended, text.Suffix)
			}
			got := []goldenWord{}
			for _, w := range d.words {
				got = append(got, goldenWord{w.text, w.start, w.end})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", id, mode, diff)
			}
		}
	}
}

func TestTokensEqualTheReference(t *testing.T) {
	g := readGoldens(t)
	for _, mode := range Modes() {
		m := goldenModels(t, mode, "tiny")["tiny"]
		for _, p := range g.prompts {
			want := p.ONNX
			if mode == Native {
				want = p.Native
			}
			if want == nil { // it raises
				continue
			}
			labels := slices.Clone(g.labels[p.Labels])
			if mode == ONNX {
				for i := range labels {
					labels[i].Description = ""
				}
			}
			m.look(t, labels, .5)
			r := m.read(m.prompt, g.texts[p.Text].Text).rows[0]
			got := goldenIDs{IDs: r.ids, Task: m.prompt.task, Labels: m.prompt.labels, TextStart: len(m.prompt.ids)}
			for _, place := range r.places {
				got.First = append(got.First, place-got.TextStart)
			}
			for mode == ONNX && len(want.First) > 0 && want.First[len(want.First)-1] == len(want.IDs)-want.TextStart {
				want.First = want.First[:len(want.First)-1] // words that the reference fails with
			}
			if len(want.First) == 0 {
				want.First = nil
			}
			if diff := cmp.Diff(*want, got); diff != "" {
				t.Errorf("%s, %s, %s (-want +got):\n%s", p.Text, p.Labels, mode, diff)
			}
		}
	}
}

// Every tensor between the tokens and the scores is that of gliner2, within 1e-4.
func TestTensorsEqualTheReference(t *testing.T) {
	g := readGoldens(t)
	all := goldenModels(t, Native, "tiny", "small", "tied")
	compared := map[string]int{}
	for _, c := range g.cases {
		if c.Text == longest && c.Model != "tiny" {
			continue // the others say as much, in seconds less
		}
		m := all[c.Model]
		m.look(t, slices.Clone(g.labels[c.Labels]), c.Threshold)
		r := m.read(m.prompt, g.texts[c.Text].Text).rows[0]
		must(t, m.encode(t.Context(), []*row{r}, func(h hidden) error {
			check := func(name string, got []float32) {
				t.Helper()
				want, there := c.Native.Tensors[name]
				if !there {
					return
				}
				compared[name]++
				want.compare(t, fmt.Sprintf("%s of %s, %s, %s", name, c.Text, c.Labels, c.Model), got)
			}
			check("hidden", h.values)
			if m.countPred != nil {
				counts, err := m.countPred.values(t.Context(), []input{floats(h.gather(1, m.prompt.task), 1, h.dim)})
				must(t, err)
				check("count", counts)
			}
			labels, err := m.labelVectors(t.Context(), h, 1, m.prompt)
			must(t, err)
			check("labels", labels)
			return m.logits(t.Context(), []*row{r}, h, m.prompt, func(_, longest int, logits []float32) {
				var inOrder []float32
				for i := range longest {
					for j := range min(m.card.MaxWidth, longest-i) {
						at := (j*longest + i) * len(m.labels)
						inOrder = append(inOrder, logits[at:at+len(m.labels)]...)
					}
				}
				check("logits", inOrder)
			})
		}))
	}
	for _, name := range []string{"hidden", "labels", "logits", "count"} {
		if compared[name] < 60 {
			t.Errorf("%s was compared %d times", name, compared[name])
		}
	}
}

// compare compares the numbers of a tensor, by their size where that is above 1.
func (g goldenTensor) compare(t *testing.T, what string, got []float32) {
	t.Helper()
	size := 1
	for _, d := range g.Shape {
		size *= d
	}
	if len(got) != size {
		t.Errorf("%s: %d numbers, want %v", what, len(got), g.Shape)
		return
	}
	equal := func(name string, want, got float64) {
		t.Helper()
		if !(math.Abs(want-got) <= 1e-4*max(1, math.Abs(want))) {
			t.Errorf("%s: %s is %g, want %g", what, name, got, want)
		}
	}
	if g.Data != "" {
		data, err := base64.StdEncoding.DecodeString(g.Data)
		must(t, err)
		if len(data) != 4*size {
			t.Fatalf("%s: the golden has %d bytes", what, len(data))
		}
		for i, v := range got {
			equal(fmt.Sprintf("number %d", i), float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))), float64(v))
		}
		return
	}
	if size == 0 {
		return
	}
	sum := 0.
	for _, v := range got {
		sum += float64(v)
	}
	equal("the mean", g.Mean, sum/float64(size))
	equal("the least", g.Min, float64(slices.Min(got)))
	equal("the greatest", g.Max, float64(slices.Max(got)))
	for _, p := range g.Probe {
		equal(fmt.Sprintf("number %g", p[0]), p[1], float64(got[int(p[0])]))
	}
}

// nearTie tells answers that another order of additions may change.
func nearTie(gap *float64) bool { return gap != nil && *gap < 1e-5 }

func TestEntitiesEqualTheReference(t *testing.T) {
	g := readGoldens(t)
	for _, mode := range Modes() {
		all := goldenModels(t, mode, "tiny", "small", "tied")
		compared, closed, found := 0, 0, 0
		for _, c := range g.cases {
			want := c.Native
			if mode == ONNX {
				if c.ONNX == nil {
					continue
				}
				want = *c.ONNX
			}
			if c.Text == longest && c.Model != "tiny" && mode == ONNX {
				continue // the others say as much, in seconds less
			}
			m := all[c.Model]
			labels := slices.Clone(g.labels[c.Labels])
			if mode == ONNX {
				for i := range labels {
					labels[i].Description = ""
				}
			}
			m.look(t, labels, c.Threshold)
			text := g.texts[c.Text].Text
			what := fmt.Sprintf("%s, %s, %s, %s at %g", mode, c.Text, c.Labels, c.Model, c.Threshold)
			got, err := m.Extract(t.Context(), []string{text})
			must(t, err)
			if want.Error != "" { // what the reference raises finds nothing, or what is before the word that it fails with
				continue
			}
			compared++
			found += len(want.Entities)
			if mode == Native && want.Count == 0 {
				closed++
			}
			compareEntities(t, what, m, text, want, got[0])
			if mode == Native {
				compareLists(t, what, m, want, got[0])
			}
		}
		t.Logf("%s: %d cases, of which %d closed, %d entities", mode, compared, closed, found)
		if compared < 150 || found < 1000 || mode == Native && closed == 0 {
			t.Errorf("%s: %d cases were compared, of which %d closed, with %d entities", mode, compared, closed, found)
		}
	}
}

func compareEntities(t *testing.T, what string, m *Model, text string, want goldenAnswer, got []Entity) {
	t.Helper()
	runes := []rune(text)
	var shown []goldenEntity
	for _, e := range got {
		shown = append(shown, goldenEntity{m.labels[e.Label].Name, e.Text, e.Score, e.RuneStart, e.RuneEnd})
		source := string(runes[e.RuneStart:e.RuneEnd])
		if text[e.Start:e.End] != source {
			t.Errorf("%s: bytes %d to %d are not the code points %d to %d", what, e.Start, e.End, e.RuneStart, e.RuneEnd)
		}
		switch {
		case m.options.Mode == ONNX && e.Text == source:
		case m.options.Mode == Native && (e.Text == trim(source) || e.End == len(text) && e.Text == trim(source+".")):
		default:
			t.Errorf("%s: the text %q is not that of the source, %q", what, e.Text, source)
		}
	}
	expected := slices.Clone(want.Entities)
	for i := range expected { // places behind the text are its end
		expected[i].Start, expected[i].End = min(expected[i].Start, len(runes)), min(expected[i].End, len(runes))
	}
	if nearTie(want.OrderGap) || nearTie(want.Gap) {
		order := func(a, b goldenEntity) int {
			return strings.Compare(fmt.Sprintf("%s %8d %8d", a.Label, a.Start, a.End), fmt.Sprintf("%s %8d %8d", b.Label, b.Start, b.End))
		}
		slices.SortFunc(expected, order)
		slices.SortFunc(shown, order)
	}
	if len(expected) == 0 {
		expected = nil
	}
	tolerance := 1e-5
	if strings.Contains(what, "tied") { // its logits are a thousand times as large
		tolerance = 1e-3
	}
	near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) <= tolerance })
	if diff := cmp.Diff(expected, shown, near); diff != "" {
		t.Errorf("%s (gap %v, -want +got):\n%s", what, want.Gap, diff)
	}
}

// compareLists compares what the reference system joins.
func compareLists(t *testing.T, what string, m *Model, want goldenAnswer, got []Entity) {
	t.Helper()
	if nearTie(want.OrderGap) || nearTie(want.Gap) {
		return
	}
	for l, label := range m.labels {
		var texts []string
		for _, e := range got {
			if e.Label == l {
				texts = append(texts, e.Text)
			}
		}
		if joined := strings.Join(texts, ", "); joined != strings.Join(want.Lists[label.Name], ", ") {
			t.Errorf("%s: %s is %q, want %q", what, label.Name, joined, want.Lists[label.Name])
		}
	}
}

func TestClassesEqualTheReference(t *testing.T) {
	g := readGoldens(t)
	for _, mode := range Modes() {
		all := goldenModels(t, mode, "tiny", "small")
		for _, c := range g.classes {
			if mode == ONNX && c.ONNX.Error != "" {
				continue
			}
			what := fmt.Sprintf("%s, %s, %s", mode, c.Text, c.Model)
			got, err := all[c.Model].Classify(t.Context(), []string{g.texts[c.Text].Text}, c.Labels)
			must(t, err)
			best := 0
			for l := range got[0] {
				if got[0][l] > got[0][best] {
					best = l
				}
				if mode == Native && math.Abs(float64(got[0][l]-c.Native.Probabilities[l])) > 1e-5 {
					t.Errorf("%s: %s has %g, want %g", what, c.Labels[l], got[0][l], c.Native.Probabilities[l])
				}
			}
			wantBest, want := c.ONNX.Best, c.ONNX.Probability
			if mode == Native {
				wantBest, want = c.Native.Best, slices.Max(c.Native.Probabilities)
			}
			if c.Labels[best] != wantBest || math.Abs(float64(got[0][best]-want)) > 1e-5 {
				t.Errorf("%s: the best is %s with %g, want %s with %g", what, c.Labels[best], got[0][best], wantBest, want)
			}
		}
	}
}
