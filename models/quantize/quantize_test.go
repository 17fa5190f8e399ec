package quantize

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/models/repository"
	"jobstrom/pipeline/embed"
)

// goldens is where make_encoders.py has written tiny encoders of random weights.
const goldens = "../repository/testdata/encoders"

var texts = []string{
	"kok", "Sygeplejerske til nattevagter på Ærø", "Murer og tømrer til renovering af ældre ejendomme i København og omegn søges straks.", "x",
	"Softwareudvikler med kendskab til databaser, netværk og sikkerhed. Løn efter kvalifikationer.", "smørrebrødsjomfru søges til køkken", "STORE BOGSTAVER ÆØÅ", "Chauffør med stort kørekort",
}

// newSource puts an encoder's folder together, of an architecture and a way of pooling, and writes its card.
func newSource(t *testing.T, architecture, way string, o repository.Options) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"base", way} {
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(goldens, architecture, part))); err != nil {
			t.Fatal(err)
		}
	}
	describe(t, dir, o)
	return dir
}

func describe(t *testing.T, dir string, o repository.Options) {
	t.Helper()
	o.Licence = "CC0-1.0"
	card, err := repository.Card(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := models.WriteEncoderCard(dir, card); err != nil {
		t.Fatal(err)
	}
}

// vectors embeds the texts, each alone or all in one batch.
func vectors(t *testing.T, dir string, alone bool) [][]float32 {
	t.Helper()
	o := embed.Options{ModelDir: dir, BatchTokens: 1 << 16}
	if alone {
		o.MaxBatch = 1
	}
	e, err := embed.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	all, err := e.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	values := make([][]float32, len(all))
	for i, v := range all {
		values[i] = v.Values
	}
	return values
}

// lowest returns the lowest cosine of two vectors of a text.
func lowest(a, b [][]float32) float64 {
	low := 1.0
	for i := range a {
		var ab, aa, bb float64
		for k := range a[i] {
			x, y := float64(a[i][k]), float64(b[i][k])
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
		if c := ab / math.Sqrt(aa*bb); !(c >= low) { // not a number is lower than all
			low = c
		}
	}
	return low
}

func quantized(t *testing.T, source string, o Options) (string, Result) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "quantised")
	r, err := Encoder(t.Context(), source, target, o)
	if err != nil {
		t.Fatal(err)
	}
	card, err := models.Verify(target)
	if err != nil {
		t.Fatal(err)
	}
	if card.ID != r.Card.ID || card.ID == r.Source.ID || card.SourceSHA256 != r.Source.SourceSHA256 {
		t.Errorf("the card is %+v", card)
	}
	return target, r
}

// TestKinds: every kind of every architecture stays near the original, is smaller, and gives a text one vector.
func TestKinds(t *testing.T) {
	near := map[Kind]float64{Int8: .995, Q8: .998, Q4: .8} // random weights have nothing to spare for 4 bits
	for _, architecture := range []string{"bert", "xlm-roberta", "mpnet"} {
		source := newSource(t, architecture, "mean", repository.Options{})
		original := vectors(t, source, false)
		for _, kind := range Kinds() {
			target, r := quantized(t, source, Options{Kind: kind})
			together, alone := vectors(t, target, false), vectors(t, target, true)
			if c := lowest(original, together); c < near[kind] || c > .99999 { // nothing done is no quantisation
				t.Errorf("%s %s: the lowest cosine is %g", architecture, kind, c)
			}
			if c := lowest(together, alone); c < .99999 {
				t.Errorf("%s %s: alone against batched the lowest cosine is %g", architecture, kind, c)
			}
			if r.Products != 12 || r.Embeddings != 1 || len(r.Left) != 0 || r.Bytes >= r.SourceBytes { // 6 in each of two layers
				t.Errorf("%s %s: %+v", architecture, kind, r)
			}
		}
	}
}

// TestOneScaleForAllTokensVaries: with one activation scale for a whole batch, which is what other tools write, the measure of TestKinds must fail.
func TestOneScaleForAllTokensVaries(t *testing.T) {
	target, r := quantized(t, newSource(t, "bert", "mean", repository.Options{}), Options{})
	path := filepath.Join(target, filepath.FromSlash(r.Card.Graph.Name))
	source, err := onnx.ReadSource(read(t, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	g, changed := source.Graph("test"), 0
	for _, n := range source.Nodes {
		if n.Op == "ReduceMax" {
			g.Node("", "ReduceMax", n.Outputs[0], n.Inputs, onnx.IntAttribute("keepdims", 1))
			changed++
		} else {
			g.Take(n)
		}
	}
	g.TakeConstants(func(string) bool { return true })
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil || changed == 0 {
		t.Fatal(changed, err)
	}
	write(t, path, b.Bytes())
	r.Card.Graph.SHA256, err = models.HashFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := models.WriteEncoderCard(target, r.Card.Identified()); err != nil {
		t.Fatal(err)
	}
	if c := lowest(vectors(t, target, false), vectors(t, target, true)); c >= .99999 {
		t.Errorf("alone against batched the lowest cosine is %g", c)
	}
}

// TestOptions: every setting is another encoder, whose card says how it was made, and keeps its quality.
func TestOptions(t *testing.T) {
	source := newSource(t, "xlm-roberta", "dense-normalize", repository.Options{})
	original := vectors(t, source, false)
	ids := map[string]string{}
	f := func(o Options, near float64, recipe string, left int) {
		t.Helper()
		target, r := quantized(t, source, o)
		if c := lowest(original, vectors(t, target, false)); c < near {
			t.Errorf("%+v: the lowest cosine is %g", o, c)
		}
		if want := recipe + "; of sentence-transformers 1 onnx/model.onnx"; r.Card.Recipe.Graph != want || len(r.Left) != left {
			t.Errorf("the recipe is %q, want %q; %d products are left", r.Card.Recipe.Graph, want, len(r.Left))
		}
		if was := ids[r.Card.ID]; was != "" {
			t.Errorf("%q and %q are one encoder", was, recipe)
		}
		ids[r.Card.ID] = recipe
		c := r.Card
		if len(c.Dense) != 1 || !c.Normalize || c.Licence != "CC0-1.0" || c.Source != r.Source.Source || len(c.Notes) != len(r.Source.Notes)+1 || c.Recipe.Name != "jobstrom-quantize" {
			t.Errorf("the card is %+v", c)
		}
		again, _ := quantized(t, source, o)
		if second, err := models.Verify(again); err != nil || second.ID != c.ID {
			t.Errorf("the second time it is %.12s, %v", second.ID, err)
		}
	}
	f(Options{}, .99, "int8, weights to 64, embeddings of 8 bits in blocks of 32", 0)
	f(Options{Embeddings: FloatEmbeddings}, .99, "int8, weights to 64", 0)
	f(Options{Embeddings: 4}, .9, "int8, weights to 64, embeddings of 4 bits in blocks of 32", 0)
	f(Options{Kind: Q8, Block: 16}, .995, "q8, blocks of 16, accuracy 4, embeddings of 8 bits in blocks of 16", 0)
	f(Options{Kind: Q8, Block: 64, Accuracy: 1}, .995, "q8, blocks of 64, accuracy 1, embeddings of 8 bits in blocks of 64", 0)
	f(Options{Kind: Q4, Block: 16, Embeddings: 8}, .8, "q4, blocks of 16, accuracy 4, embeddings of 8 bits in blocks of 16", 0)
	f(Options{Keep: []string{"*/layer.0/*"}}, .99, `int8, weights to 64, embeddings of 8 bits in blocks of 32, without ["*/layer.0/*"]`, 6)
}

// TestFilesBeside: weights are read from and written to files beside the graph.
func TestFilesBeside(t *testing.T) {
	source := newSource(t, "bert", "mean", repository.Options{})
	if err := os.CopyFS(filepath.Join(source, "onnx"), os.DirFS(filepath.Join(goldens, "external"))); err != nil {
		t.Fatal(err)
	}
	describe(t, source, repository.Options{Graph: "onnx/external.onnx"})
	inside, r := quantized(t, source, Options{})
	beside, b := quantized(t, source, Options{maxModel: 1 << 15})
	if len(r.Card.External) != 0 || len(b.Card.External) != 1 || b.Card.External[0].Name != "onnx/external.onnx.data" {
		t.Errorf("files beside the graph: %v and %v", r.Card.External, b.Card.External)
	}
	if c := lowest(vectors(t, inside, false), vectors(t, beside, false)); c < .9999999 {
		t.Errorf("inside and beside the lowest cosine is %g", c)
	}
	if c := lowest(vectors(t, newSource(t, "bert", "mean", repository.Options{}), false), vectors(t, beside, false)); c < .995 {
		t.Errorf("the lowest cosine to the original is %g", c)
	}
}

// TestTarget: a folder is replaced whole or not at all, and only if nothing is lost.
func TestTarget(t *testing.T) {
	source := newSource(t, "mpnet", "mean", repository.Options{})
	parent := t.TempDir()
	target := filepath.Join(parent, "new")
	f := func(want string, o Options) {
		t.Helper()
		before, _ := models.Verify(target)
		_, err := Encoder(t.Context(), source, target, o)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if after, _ := models.Verify(target); err != nil && after.ID != before.ID {
			t.Errorf("after %v there is %.12s, was %.12s", err, after.ID, before.ID)
		}
		if entries, err := os.ReadDir(parent); err != nil || len(entries) > 1 {
			t.Errorf("it leaves %v, %v", entries, err)
		}
	}
	refuse := Options{Accept: func(dir string, r Result) error {
		if _, err := models.Verify(dir); err != nil || r.Card.ID == "" {
			t.Errorf("asked about %s: %v", dir, err)
		}
		return errors.New("it varies")
	}}
	f("it varies", refuse)
	f("", Options{})
	f("", Options{Kind: Q8})
	f("it varies", refuse)
	for _, phase := range []string{"rounding weights", "writing the graph"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := Encoder(ctx, source, target, Options{Progress: func(at string, _, _ int) {
			if at == phase {
				cancel(errors.New("stopped"))
			}
		}})
		if err == nil || !strings.Contains(err.Error(), "stopped") {
			t.Errorf("stopped while %s: %v", phase, err)
		}
	}
	write(t, filepath.Join(target, "thesis.txt"), []byte("the only copy"))
	f("holds thesis.txt, which is no part of an encoder", Options{})
	if _, err := Encoder(t.Context(), source, source, Options{}); err == nil || !strings.Contains(err.Error(), "would replace the one that it is made of") {
		t.Errorf("onto itself: %v", err)
	}
	f("Kind (fp8) must be one of", Options{Kind: "fp8"})
	f("Block (31) must be", Options{Block: 31})
}

func TestFailures(t *testing.T) {
	f := func(want string, sentinel error, spoil func(dir string)) {
		t.Helper()
		dir, target := newSource(t, "bert", "mean", repository.Options{}), filepath.Join(t.TempDir(), "new")
		spoil(dir)
		_, err := Encoder(t.Context(), dir, target, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || sentinel != nil && !errors.Is(err, sentinel) {
			t.Errorf("got %v, want %q", err, want)
		}
		if _, err := os.Stat(target); err == nil {
			t.Errorf("%s: there is a folder", want)
		}
	}
	graph := func(dir string) string { return filepath.Join(dir, "onnx", "model.onnx") }
	spoilt := func(change func(b []byte) []byte) func(dir string) { // and described as it is
		return func(dir string) {
			write(t, graph(dir), change(read(t, graph(dir))))
			card, err := models.ReadEncoderCard(dir)
			if err != nil {
				t.Fatal(err)
			}
			if card.Graph.SHA256, err = models.HashFile(graph(dir)); err != nil {
				t.Fatal(err)
			}
			if err := models.WriteEncoderCard(dir, card.Identified()); err != nil {
				t.Fatal(err)
			}
		}
	}
	f("card.json is missing", os.ErrNotExist, func(dir string) { must(t, os.Remove(filepath.Join(dir, models.CardFile))) })
	f("model.onnx is corrupt", nil, func(dir string) { b := read(t, graph(dir)); b[len(b)/2]++; write(t, graph(dir), b) })
	f("model.onnx is missing", os.ErrNotExist, func(dir string) { must(t, os.Remove(graph(dir))) })
	f("cut off", onnx.ErrMalformed, spoilt(func(b []byte) []byte { return b[:len(b)/2] }))
	f("no graph", onnx.ErrMalformed, spoilt(func(b []byte) []byte { return nil }))
	f("no product (MatMul, Gemm) with a constant matrix", ErrNothing, spoilt(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("MatMul"), []byte("MatMux")) }))
	f("must be >= 11", nil, spoilt(func(b []byte) []byte { return withSet(b, 17, 10) }))
	quantised, _ := quantized(t, newSource(t, "bert", "mean", repository.Options{}), Options{})
	f("quantised already", ErrQuantized, spoilt(func([]byte) []byte { return read(t, graph(quantised)) }))
	external := filepath.Join(goldens, "external", "external.onnx")
	f("none of the files that the card names", nil, spoilt(func([]byte) []byte { return read(t, external) }))
}

// withSet changes the version of ONNX's operators that a model asks for.
func withSet(model []byte, from, to byte) []byte {
	for _, domain := range [][]byte{{0x0a, 0}, nil} { // named "", or not
		entry := append(append([]byte{0x42, byte(len(domain) + 2)}, domain...), 0x10)
		model = bytes.ReplaceAll(model, append(entry[:len(entry):len(entry)], from), append(entry[:len(entry):len(entry)], to))
	}
	return model
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	must(t, os.WriteFile(path, b, 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
