package embed

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/models"
	"jobstrom/models/repository"
)

// goldens is where make_encoders.py has written tiny encoders and what sentence-transformers computes with them.
const goldens = "../../models/repository/testdata"

func readGolden(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(goldens, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// newRepository puts a repository together, of what an architecture shares and of one way of pooling, and writes its card.
func newRepository(t *testing.T, name string, o repository.Options) string {
	t.Helper()
	architecture, way, _ := strings.Cut(name, "/")
	dir := t.TempDir()
	for _, part := range []string{way, "base"} { // the first that has a file decides
		from := filepath.Join(goldens, "encoders", architecture, part)
		err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			inside, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			to := filepath.Join(dir, inside)
			if _, err := os.Stat(to); err == nil {
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			return os.WriteFile(to, data, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	card, err := repository.Card(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := models.WriteEncoderCard(dir, card); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAgreesWithSentenceTransformers: every architecture and every way gives the vectors and the token counts of SentenceTransformer.encode, alone and
// in a batch.
func TestAgreesWithSentenceTransformers(t *testing.T) {
	var golden struct {
		Texts    []string
		Encoders map[string][]struct {
			Tokens int
			Vector []float32
		}
	}
	readGolden(t, "vectors.json", &golden)
	if len(golden.Texts) < 20 || len(golden.Encoders) != 33 {
		t.Fatalf("%d texts and %d encoders", len(golden.Texts), len(golden.Encoders))
	}
	for name, vectors := range golden.Encoders {
		t.Run(name, func(t *testing.T) {
			want := make([]Vector, len(vectors))
			for i, v := range vectors {
				want[i] = Vector{Values: v.Vector, Tokens: v.Tokens}
			}
			e := newEncoder(t, Options{ModelDir: newRepository(t, name, repository.Options{})})
			together, alone := embed(t, e, golden.Texts...), make([]Vector, len(want))
			for i, text := range golden.Texts {
				alone[i] = embed(t, e, text)[0]
			}
			agree(t, "alone", .99999, want, alone)
			agree(t, "together", .99999, want, together)
			for i, w := range want {
				if len(alone[i].Values) != len(w.Values) || alone[i].Tokens != w.Tokens || together[i].Tokens != w.Tokens {
					t.Errorf("text %d has %d numbers of %d tokens, want %d of %d", i, len(alone[i].Values), alone[i].Tokens, len(w.Values), w.Tokens)
				}
				for k, x := range w.Values { // cosine does not see lengths
					if d := alone[i].Values[k] - x; d > 1e-4 || d < -1e-4 {
						t.Errorf("text %d: component %d is %g, want %g", i, k, alone[i].Values[k], x)
						break
					}
				}
			}
		})
	}
}

// splitMix chooses as hard_texts of make_encoders.py does (SplitMix64, Steele, Lea and Flood 2014).
type splitMix uint64

func (s *splitMix) below(n int) int {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return int((z ^ z>>31) % uint64(n))
}

// TestTokensAgreeWithTransformers: the tokens of 2,000 hard texts are those of Python's tokenizers, of which the goldens hold a hash each.
func TestTokensAgreeWithTransformers(t *testing.T) {
	var golden struct {
		Count  int
		Seed   uint64
		Pieces []string
		Texts  string
		IDs    map[string]string
	}
	readGolden(t, "tokens.json", &golden)
	random := splitMix(golden.Seed)
	texts := make([]string, golden.Count)
	for i := range texts {
		length := 0
		if i%20 == 0 {
			length = 600 + random.below(200)
		} else {
			length = random.below(24)
		}
		var b strings.Builder
		for range length {
			b.WriteString(golden.Pieces[random.below(len(golden.Pieces))])
		}
		texts[i] = b.String()
	}
	if sum := sha256.Sum256([]byte(strings.Join(texts, "\x00"))); hex.EncodeToString(sum[:]) != golden.Texts {
		t.Fatal("the generator gives other texts than make_encoders.py's")
	}
	if len(texts) != 2000 || len(golden.IDs) != 3 {
		t.Fatalf("%d texts of %d tokenizers", len(texts), len(golden.IDs))
	}
	for architecture, hashes := range golden.IDs {
		e := newEncoder(t, Options{ModelDir: newRepository(t, architecture+"/mean", repository.Options{})})
		e.maxTokens = 1 << 20 // the goldens are of whole texts
		wrong, longest := 0, 0
		for i, text := range texts {
			r, err := e.tokenize(text)
			if err != nil {
				t.Fatal(err)
			}
			longest = max(longest, len(r.ids))
			sum := sha256.Sum256([]byte(strings.Trim(fmt.Sprint(r.ids), "[]")))
			if got := hex.EncodeToString(sum[:4]); got != hashes[8*i:8*i+8] {
				if wrong++; wrong <= 3 {
					t.Errorf("%s: %.200q has other tokens than in Python: %.200v", architecture, text, r.ids)
				}
			}
		}
		if wrong > 0 || longest <= 512 {
			t.Errorf("%s: %d of %d texts have other tokens, the longest has %d", architecture, wrong, len(texts), longest)
		}
	}
}

// Another prompt is another encoder: identity, vectors and what the cache holds differ.
func TestPrompt(t *testing.T) {
	dir := newRepository(t, "xlm-roberta/prompt", repository.Options{})
	f := func(prompt, text string) *Encoder {
		t.Helper()
		e := newEncoder(t, Options{ModelDir: dir, Prompt: prompt, CacheBytes: 1 << 20})
		if e.Card().Prefix != text {
			t.Errorf("the prompt %q is %q, want %q", prompt, e.Card().Prefix, text)
		}
		return e
	}
	ordinary, named, literal, none := f("", "query: "), f("instruct", models.VacancyInstruction), f(models.VacancyInstruction, models.VacancyInstruction), f("document", "")
	if named.Card().ID != literal.Card().ID || named.Card().ID == ordinary.Card().ID || none.Card().ID == ordinary.Card().ID {
		t.Error("another prompt must be another encoder, the same one the same")
	}
	if err := named.Card().Validate(); err != nil {
		t.Error(err)
	}
	if named.cache.keyOf("kok") == ordinary.cache.keyOf("kok") || named.cache.keyOf("kok") != literal.cache.keyOf("kok") {
		t.Error("another prompt must have other keys, the same one the same")
	}
	agree(t, "the prompt in the text", .999999, embed(t, ordinary, "kok"), embed(t, none, "query: kok"))
	if c := cosine(embed(t, ordinary, "kok")[0].Values, embed(t, named, "kok")[0].Values); c > .9999 {
		t.Errorf("another prompt gives the cosine %g", c)
	}
}

// Weights beside the graph are verified as the graph is.
func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(newRepository(t, "bert/mean", repository.Options{}))); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "onnx"), os.DirFS(filepath.Join(goldens, "encoders", "external"))); err != nil {
		t.Fatal(err)
	}
	o := repository.Options{Graph: "onnx/external.onnx"}
	card, err := repository.Card(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(card.External) != 1 || card.External[0].Name != "onnx/external.onnx.data" {
		t.Fatalf("the files beside the graph are %v", card.External)
	}
	if err := models.WriteEncoderCard(dir, card); err != nil {
		t.Fatal(err)
	}
	texts := []string{"kok", "Sygeplejerske til nattevagter på Ærø"}
	agree(t, "weights inside and beside", .9999999, embed(t, newEncoder(t, Options{ModelDir: newRepository(t, "bert/mean", repository.Options{})}), texts...), embed(t, newEncoder(t, Options{ModelDir: dir}), texts...))
	path := filepath.Join(dir, "onnx", "external.onnx.data")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2]++
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if e, err := New(Options{ModelDir: dir}); err == nil || !strings.Contains(err.Error(), "external.onnx.data is corrupt") {
		t.Errorf("corrupt weights: %v, %v", e, err)
	}
}
