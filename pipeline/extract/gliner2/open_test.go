package gliner2

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// rehash makes a folder's card fit its files again, whatever they hold, as an honest but wrong card would.
func rehash(t *testing.T, dir string, change func(c *models.ExtractorCard)) {
	t.Helper()
	card, err := models.ReadExtractorCard(dir)
	must(t, err)
	sum := func(f *models.File) {
		var err error
		f.SHA256, err = models.HashFile(filepath.Join(dir, f.Name))
		must(t, err)
	}
	sum(&card.Tokenizer)
	for precision, g := range card.Graphs {
		for _, f := range []*models.File{&g.Encoder, &g.SpanRep, &g.CountEmbed, &g.Classifier, g.CountPred} {
			if f != nil {
				sum(f)
			}
		}
		card.Graphs[precision] = g
	}
	if change != nil {
		change(&card)
	}
	must(t, models.WriteExtractorCard(dir, card.Identified()))
}

func TestOpenFailure(t *testing.T) {
	f := func(what string, change func(dir string), o Options, says ...string) {
		t.Helper()
		o.Dir = copyModel(t, "tiny")
		describe(t, o.Dir)
		change(o.Dir)
		m, err := Open(o)
		if err == nil {
			m.Close()
			t.Errorf("%s: the model opens, want an error with %q", what, says)
			return
		}
		for _, text := range append(says, "opening extractor "+o.Dir) {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v: does not say %q", what, err, text)
			}
		}
	}
	graph := func(dir, name string) string { return filepath.Join(dir, "onnx", name+".onnx") }
	edit := func(dir, name, old, new string) {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Contains(data, []byte(old)) {
			t.Fatalf("%s has no %q", name, old)
		}
		must(t, os.WriteFile(path, bytes.ReplaceAll(data, []byte(old), []byte(new)), 0o644))
	}
	f("no card", func(dir string) { must(t, os.Remove(filepath.Join(dir, models.CardFile))) }, Options{}, "card.json is missing", "jobstrom models pull")
	f("a broken card", func(dir string) { edit(dir, models.CardFile, "{", "") }, Options{}, "card.json", "invalid character", "jobstrom models pull")
	f("a changed card", func(dir string) { edit(dir, models.CardFile, `"max_width": 8`, `"max_width": 9`) }, Options{}, "card.json", "id (", "jobstrom models pull")
	for _, name := range []string{"encoder", "span_rep", "count_embed", "classifier", "count_pred"} {
		f("without "+name, func(dir string) { must(t, os.Remove(graph(dir, name))) }, Options{}, name+".onnx is missing", "jobstrom models pull")
		f("truncated "+name, func(dir string) { must(t, os.Truncate(graph(dir, name), 2000)) }, Options{}, name+".onnx is corrupt", "expected", "jobstrom models pull")
	}
	f("without tokenizer", func(dir string) { must(t, os.Remove(filepath.Join(dir, "tokenizer.json"))) }, Options{}, "tokenizer.json is missing", "jobstrom models pull")
	f("an absent precision", func(dir string) {
		rehash(t, dir, func(c *models.ExtractorCard) { delete(c.Graphs, models.FP16) })
	}, Options{Precision: models.FP16}, "it has no weights in fp16", "jobstrom models pull --precision fp16")
	f("chunks that are too short", func(dir string) {
		rehash(t, dir, func(c *models.ExtractorCard) { c.MaxWidth = 12 })
	}, Options{MaxWords: 20, Overlap: -1}, "MaxWords (20) must be at least 24")

	// The hashes are right, the files are not.
	f("a truncated graph", func(dir string) {
		must(t, os.Truncate(graph(dir, "encoder"), 5000))
		rehash(t, dir, nil)
	}, Options{}, "encoder.onnx", "malformed ONNX file", "fetch it again")
	f("swapped graphs", func(dir string) {
		rehash(t, dir, func(c *models.ExtractorCard) {
			g := c.Graphs[models.FP32]
			g.SpanRep, g.CountEmbed = g.CountEmbed, g.SpanRep
			c.Graphs[models.FP32] = g
		})
	}, Options{}, "reading onnx/count_embed.onnx", "another graph or another model's", "export-gliner2")
	f("another model's graph", func(dir string) {
		data, err := os.ReadFile("testdata/small/onnx/span_rep.onnx")
		must(t, err)
		must(t, os.WriteFile(graph(dir, "span_rep"), data, 0o644))
		rehash(t, dir, nil)
	}, Options{}, "reading onnx/span_rep.onnx", "dimensions [-1 -1 32], must have [-1 -1 16", "export-gliner2")
	f("another width", func(dir string) {
		rehash(t, dir, func(c *models.ExtractorCard) { c.Hidden = 32 })
	}, Options{}, "reading onnx/encoder.onnx", "dimensions [-1 -1 16], must have [-1 -1 32")
	f("another special token", func(dir string) {
		edit(dir, "tokenizer.json", `"[SEP_TEXT]"`, `"[SEP_TEKST]"`)
		rehash(t, dir, nil)
	}, Options{}, "tokenizer.json", "special token [SEP_TEXT]", "the card says 602", "jobstrom models pull")
	f("a broken tokenizer", func(dir string) {
		must(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(`{"model": {}}`), 0o644))
		rehash(t, dir, nil)
	}, Options{}, "loading", "tokenizer.json", "jobstrom models pull")
	f("a description without its token", func(dir string) {
		rehash(t, dir, func(c *models.ExtractorCard) { delete(c.SpecialTokens, models.TokenDescription) })
	}, Options{Labels: []Label{{Name: "a", Description: "b"}}}, `the label "a" has a description`, models.TokenDescription)
	f("weights that are none", func(dir string) {
		data, err := os.ReadFile(graph(dir, "count_embed"))
		must(t, err)
		source, err := onnx.ReadSource(data, nil)
		must(t, err)
		for _, c := range source.Constants {
			if c.Type == onnx.Float && len(c.Dims) == 2 {
				for i := 3; i < len(c.Data); i += 4 { // the constants are parts of data
					c.Data[i-1], c.Data[i] = 0xff, 0x7f
				}
			}
		}
		must(t, os.WriteFile(graph(dir, "count_embed"), data, 0o644))
		rehash(t, dir, nil)
	}, Options{}, "onnx/count_embed.onnx", "numbers that are none", "jobstrom models pull")
}

func TestOptionsAreValidated(t *testing.T) {
	f := func(o Options, says ...string) {
		t.Helper()
		_, err := Open(o)
		for _, text := range says {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%v: does not say %q", err, text)
			}
		}
	}
	f(Options{Threads: -1, Workers: -2, Precision: "int4", Mode: "own", MaxWords: 5, BatchTokens: -4, Provider: "tpu"},
		"Dir is empty", "jobstrom models pull", "Threads (-1)", "Workers (-2)", `Precision ("int4")`, `Mode ("own")`, "MaxWords (5)", "BatchTokens (-4)", "provider (tpu)")
	f(Options{MaxWords: 100, Overlap: 51}, "Overlap (51) must be -1 (the least) or at most half of MaxWords (100)")
	f(Options{Labels: []Label{{}, {Name: "a"}, {Name: "a"}, {Name: "b [E]"}, {Name: "c", Threshold: 2}, {Name: strings.Repeat("d", 1001)}}},
		"Labels[0]: the name is empty", `Labels[2]: the name ("a") is another label's`, "Labels[3]: the name", "Labels[4].Threshold (2)", "Labels[5]: the name has 1001 bytes")
	f(Options{Mode: ONNX, Labels: []Label{{Name: "a", Description: "b"}}}, "Labels[0].Description is for the mode native")
	f(Options{Labels: []Label{{Name: "a", Description: "b [P]"}}}, "Labels[0].Description")
	nan := float32(math.NaN())
	f(Options{Labels: []Label{{Name: "a", Threshold: nan}}}, "Labels[0].Threshold (NaN)")

	var o Options
	o.EnsureDefaults()
	if o.Mode != Native || o.Precision != models.FP32 || o.MaxWords != 384 || o.Overlap != 64 || len(o.Labels) != 3 || o.Labels[1] != (Label{Name: "kompetencer", Threshold: .5}) {
		t.Errorf("the defaults are %+v", o)
	}
}

// rewrite writes a graph of a model's folder again, as change leaves it.
func rewrite(t *testing.T, dir, name string, change func(s *onnx.Source, g *onnx.Graph)) {
	t.Helper()
	path := filepath.Join(dir, "onnx", name+".onnx")
	data, err := os.ReadFile(path)
	must(t, err)
	source, err := onnx.ReadSource(data, nil)
	must(t, err)
	g := source.Graph("test")
	g.TakeConstants(func(string) bool { return true })
	change(source, g)
	var out bytes.Buffer
	must(t, g.Encode(&out))
	must(t, os.WriteFile(path, out.Bytes(), 0o644))
	describe(t, dir)
}

// span_rep of another shape is run as it stands, and finds the same.
func TestUnknownSpanRep(t *testing.T) {
	texts := vacancies(12)
	for _, mode := range Modes() {
		known := openModel(t, "tiny", Options{Mode: mode, Precision: models.FP32})
		if known.spans == nil || known.spanRep != nil || len(known.Notes()) > 0 {
			t.Fatalf("the graph is not known: %q", known.Notes())
		}
		dir := copyModel(t, "tiny")
		rewrite(t, dir, "span_rep", func(s *onnx.Source, g *onnx.Graph) {
			for _, n := range s.Nodes {
				if n.Op == "Concat" && slices.Contains(n.Inputs, s.Nodes[0].Outputs[0]) {
					t.Fatal("the graph begins with what it ends with")
				}
				if n.Op == "Relu" { // as max(x, 0), and x·1 before it
					one, zero := n.Outputs[0]+".one", n.Outputs[0]+".zero"
					g.Floats(one, []float32{1})
					g.Floats(zero, []float32{0})
					g.Node("", "Mul", n.Outputs[0]+".scaled", []string{n.Inputs[0], one})
					g.Node("", "Max", n.Outputs[0], []string{n.Outputs[0] + ".scaled", zero})
					continue
				}
				g.Take(n)
			}
		})
		unknown := openModel(t, "", Options{Dir: dir, Mode: mode})
		if notes := strings.Join(unknown.Notes(), "\n"); unknown.spans != nil || !strings.Contains(notes, "onnx/span_rep.onnx is run as it stands, which takes longer") {
			t.Errorf("the notes are %q", notes)
		}
		want, err := known.Extract(t.Context(), texts)
		must(t, err)
		got, err := unknown.Extract(t.Context(), texts)
		must(t, err)
		if diff := cmp.Diff(want, got, nearScores); diff != "" {
			t.Errorf("%s (-known +unknown):\n%s", mode, diff)
		}
	}
}

// What ONNX Runtime reads and the package onnx does not is run as it stands, too: here a model with an operator of its own, which it does not use.
func TestSpanRepWithFunctions(t *testing.T) {
	dir := copyModel(t, "tiny")
	path := filepath.Join(dir, "onnx", "span_rep.onnx")
	data, err := os.ReadFile(path)
	must(t, err)
	field := func(number protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), v)
	}
	identity := slices.Concat(field(1, []byte("x")), field(2, []byte("y")), field(4, []byte("Identity")))
	version := protowire.AppendVarint(protowire.AppendTag(field(1, nil), 2, protowire.VarintType), 17)
	function := slices.Concat(field(1, []byte("Same")), field(4, []byte("x")), field(5, []byte("y")), field(7, identity), field(9, version), field(10, []byte("test")))
	must(t, os.WriteFile(path, append(data, field(25, function)...), 0o644))
	describe(t, dir)
	m := openModel(t, "", Options{Dir: dir})
	if m.spans != nil || !strings.Contains(strings.Join(m.Notes(), "\n"), "operators of its own") {
		t.Errorf("the notes are %q", m.Notes())
	}
	if _, err := m.Extract(t.Context(), []string{"Murer søges"}); err != nil {
		t.Error(err)
	}
}

// A graph that looks like span_rep and computes something else is not taken for it.
func TestDeceptiveSpanRep(t *testing.T) {
	dir := copyModel(t, "tiny")
	rewrite(t, dir, "span_rep", func(s *onnx.Source, g *onnx.Graph) {
		for _, n := range s.Nodes {
			if n.Op == "Concat" && len(n.Inputs) == 2 { // the halves change places
				axis := n.Settings["axis"].Int
				if n.Inputs[0] != s.Nodes[0].Outputs[0] && axis == -1 {
					g.Node("", "Concat", n.Outputs[0], []string{n.Inputs[1], n.Inputs[0]}, onnx.IntAttribute("axis", -1))
					continue
				}
			}
			g.Take(n)
		}
	})
	m := openModel(t, "", Options{Dir: dir})
	if m.spans != nil || !strings.Contains(strings.Join(m.Notes(), "\n"), "is chosen by") {
		t.Errorf("the notes are %q", m.Notes())
	}
}

// An export without count_pred closes no text, which the model says.
func TestWithoutCountPred(t *testing.T) {
	dir := copyModel(t, "small")
	path := filepath.Join(dir, "gliner2_config.json")
	data, err := os.ReadFile(path)
	must(t, err)
	var config map[string]any
	must(t, json.Unmarshal(data, &config))
	for _, names := range config["onnx_files"].(map[string]any) {
		delete(names.(map[string]any), "count_pred")
	}
	data, err = json.Marshal(config)
	must(t, err)
	must(t, os.WriteFile(path, data, 0o644))
	describe(t, dir)
	without, with := openModel(t, "", Options{Dir: dir}), openModel(t, "small", Options{})
	if !strings.Contains(strings.Join(without.Notes(), "\n"), "the export has no count_pred") || len(with.Notes()) > 0 {
		t.Errorf("the notes are %q without, %q with", without.Notes(), with.Notes())
	}
	texts := vacancies(30)
	all, err := without.Extract(t.Context(), texts)
	must(t, err)
	some, err := with.Extract(t.Context(), texts)
	must(t, err)
	closed := 0
	for i := range texts {
		if len(some[i]) == 0 && len(all[i]) > 0 {
			closed++
		} else if diff := cmp.Diff(all[i], some[i], nearScores); diff != "" {
			t.Errorf("text %d (-without +with):\n%s", i, diff)
		}
	}
	if closed == 0 || closed == len(texts) {
		t.Errorf("count_pred closes %d of %d texts", closed, len(texts))
	}
}

// Weights of half the size answer nearly the same.
func TestHalfPrecision(t *testing.T) {
	texts := []string{"Vi søger en erfaren murer til København.", "Sygeplejerske med autorisation søges til nattevagt i Odense"}
	labels := []Label{{Name: "kompetencer", Threshold: .001}}
	for _, name := range []string{"tiny", "small"} {
		full, half := openModel(t, name, Options{Labels: labels}), openModel(t, name, Options{Labels: labels, Precision: models.FP16})
		if half.spans == nil || len(half.Notes()) > 0 {
			t.Errorf("%s: the notes are %q", name, half.Notes())
		}
		for _, text := range texts {
			a, b := full.read(full.prompt, text).rows, half.read(half.prompt, text).rows
			must(t, full.each(t.Context(), a, full.find))
			must(t, half.each(t.Context(), b, half.find))
			if len(a[0].found) != len(b[0].found) {
				t.Errorf("%s: %d and %d candidates", name, len(a[0].found), len(b[0].found))
				continue
			}
			for i, x := range a[0].found {
				if y := b[0].found[i]; x.first != y.first || math.Abs(float64(x.score-y.score)) > .01 {
					t.Errorf("%s: %+v and %+v", name, x, y)
				}
			}
		}
	}
}

// Where the encoder reads one row at a time, or count_embed one text's labels, the answers are the same.
func TestApart(t *testing.T) {
	m := openModel(t, "small", Options{})
	texts := vacancies(20)
	want, err := m.Extract(t.Context(), texts)
	must(t, err)
	m.alone, m.labelsApart = true, true
	got, err := m.Extract(t.Context(), texts)
	must(t, err)
	if diff := cmp.Diff(want, got, nearScores); diff != "" {
		t.Errorf("(-together +apart):\n%s", diff)
	}
}

// What decides an answer is part of the identity, and nothing else is.
func TestID(t *testing.T) {
	dir := copyModel(t, "tiny")
	describe(t, dir)
	first := openModel(t, "", Options{Dir: dir}).ID()
	if again := openModel(t, "tiny", Options{Threads: 2, Workers: 3, BatchTokens: 7}).ID(); again != first || len(first) != 64 {
		t.Errorf("the same model is %s, then %s", first, again)
	}
	seen := map[string]bool{first: true}
	for _, o := range []Options{{Mode: ONNX}, {Precision: models.FP16}, {MaxWords: 100, Overlap: 10}, {Labels: DefaultLabels()[:2]}, {Labels: []Label{{Name: "a"}}}, {Labels: []Label{{Name: "a", Threshold: .4}}}, {Labels: []Label{{Name: "a", Description: "b"}}}} {
		o.Dir = dir
		id := openModel(t, "", o).ID()
		if seen[id] {
			t.Errorf("with %+v it is another model's", o)
		}
		seen[id] = true
	}
}
