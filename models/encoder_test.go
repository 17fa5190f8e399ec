package models

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeEncoder fills a folder with a small encoder whose files are not a real graph.
func writeEncoder(t *testing.T) (string, EncoderCard) {
	t.Helper()
	dir := t.TempDir()
	file := func(name, content string) File {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		sum, err := HashFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return File{Name: name, SHA256: sum}
	}
	c := EncoderCard{
		Name: "small", Source: "written here", SourceSHA256: strings.Repeat("ab", 32), Licence: "MIT",
		Recipe: Recipe{Name: "none", Version: 1, Graph: "int8"},
		Dim:    4, MaxTokens: 16, Prefix: "query: ", PadID: 1, Pooling: PoolingMean, Normalize: true,
		Output: "vector", GraphPools: true,
		Graph: file("model.onnx", "graph"), Tokenizer: file("tokenizer.json", "{}"),
	}
	c.ID = EncoderID(c.SourceSHA256, c.Recipe)
	if err := WriteEncoderCard(dir, c); err != nil {
		t.Fatal(err)
	}
	return dir, c
}

func TestEncoderCardRoundTrip(t *testing.T) {
	dir, want := writeEncoder(t)
	got, err := Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("card changed on disk (-want +got):\n%s", diff)
	}
}

func TestEncoderIDDependsOnEveryPart(t *testing.T) {
	r := Recipe{Name: "a", Version: 1, Graph: "int8"}
	ids := map[string]bool{
		EncoderID("00", r): true,
		EncoderID("01", r): true,
		EncoderID("00", Recipe{Name: "b", Version: 1, Graph: "int8"}): true,
		EncoderID("00", Recipe{Name: "a", Version: 2, Graph: "int8"}): true,
		EncoderID("00", Recipe{Name: "a", Version: 1, Graph: "fp32"}): true,
	}
	if len(ids) != 5 {
		t.Fatalf("5 different encoders have %d identities", len(ids))
	}
}

func TestEncoderCardValidateFailure(t *testing.T) {
	_, valid := writeEncoder(t)
	f := func(want string, change func(*EncoderCard)) {
		t.Helper()
		c := valid
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("Validate() = %v, want an error with %q", err, want)
		}
	}
	f("name is empty", func(c *EncoderCard) { c.Name = "" })
	f(`id ("x") must be`, func(c *EncoderCard) { c.ID = "x" })
	f("hash of source_sha256 and recipe", func(c *EncoderCard) { c.Recipe.Version++ })
	f(`source_sha256 ("")`, func(c *EncoderCard) { c.SourceSHA256 = "" })
	f("dim (0) must be > 0", func(c *EncoderCard) { c.Dim = 0 })
	f("max_tokens (2) must be >= 3", func(c *EncoderCard) { c.MaxTokens = 2 })
	f("pad_id (-1)", func(c *EncoderCard) { c.PadID = -1 })
	f(`pooling ("sum")`, func(c *EncoderCard) { c.Pooling = "sum" })
	f("output is empty", func(c *EncoderCard) { c.Output = "" })
	f("graph.name", func(c *EncoderCard) { c.Graph.Name = "../model.onnx" })
	f("recipe.settings", func(c *EncoderCard) { c.Recipe.Settings = "x" })
	f("first_position", func(c *EncoderCard) { c.FirstPosition = new(int64); *c.FirstPosition = -1 })
	f("graph_pools", func(c *EncoderCard) { c.Dense = []Dense{{In: 2, Out: 4}} })
	f("dim (4) must be 3", func(c *EncoderCard) { c.Dense = []Dense{{In: 2, Out: 3}} })
	f("dense[1].in (5) must be 3", func(c *EncoderCard) { c.Dense = []Dense{{In: 2, Out: 3}, {In: 5, Out: 4}} })
	f(`dense[0].activation ("mish")`, func(c *EncoderCard) { c.Dense = []Dense{{In: 2, Out: 4, Activation: "mish"}} })
	f("external[0].name", func(c *EncoderCard) { c.External = []File{{Name: "/etc/passwd"}} })
	f("another file's as well", func(c *EncoderCard) { c.External = []File{c.Graph} })
	f("tokenizer.sha256", func(c *EncoderCard) { c.Tokenizer.SHA256 = "AB" })

	var empty EncoderCard
	if got := strings.Count(empty.Validate().Error(), "\n") + 1; got < 9 {
		t.Fatalf("an empty card has %d violations, want all of them", got)
	}
}

func TestVerifyFailure(t *testing.T) {
	f := func(spoil func(dir string) error, want ...string) {
		t.Helper()
		dir, _ := writeEncoder(t)
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(dir)
		if err == nil {
			t.Fatal("Verify found nothing wrong")
		}
		for _, w := range append(want, "make setup") {
			if !strings.Contains(err.Error(), w) {
				t.Fatalf("error %q lacks %q", err, w)
			}
		}
	}
	write := func(name, content string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644) }
	}
	remove := func(name string) func(string) error {
		return func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
	}
	f(remove(CardFile), CardFile, "missing")
	f(write(CardFile, "{"), CardFile)
	f(write(CardFile, "{}"), "name is empty")
	f(remove("model.onnx"), "model.onnx", "missing")
	f(write("model.onnx", "grapg"), "model.onnx", "corrupt", "expected")
	f(write("tokenizer.json", ""), "tokenizer.json", "corrupt", "e3b0c44298fc1c14")
}

// Another prompt is another encoder, and the card of an encoder that was made before prompts keeps its identity.
func TestWithPrompt(t *testing.T) {
	_, c := writeEncoder(t)
	c.Prompts = map[string]string{"passage": "passage: ", "bare": ""}
	if c.WithPrompt("").ID != c.ID || c.WithPrompt("query: ").ID != c.ID {
		t.Error("its own prompt is another encoder")
	}
	named, bare := c.WithPrompt("passage"), c.WithPrompt("bare")
	if named.Prefix != "passage: " || bare.Prefix != "" || named.ID == c.ID || bare.ID == c.ID || named.ID == bare.ID {
		t.Errorf("got %q and %q with %s and %s", named.Prefix, bare.Prefix, named.ID, bare.ID)
	}
	if c.WithPrompt("passage: ").ID != named.ID {
		t.Error("a prompt by its text is another encoder than by its name")
	}
	if err := named.Validate(); err != nil {
		t.Error(err)
	}
	if named.Prefix = "changed"; named.Validate() == nil {
		t.Error("a changed prefix with the old identity is valid")
	}
}
