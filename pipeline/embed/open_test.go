package embed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"jobstrom/models"
	"jobstrom/models/convert"
	"jobstrom/models/onnx"
)

// copyEncoder copies the default encoder, so that a test can change it.
func copyEncoder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(folder(t, convert.Int8))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// changeGraph appends bytes to a copied encoder's graph and changes its card to match.
func changeGraph(t *testing.T, dir string, suffix []byte, change func(*models.EncoderCard)) {
	t.Helper()
	card, err := models.ReadEncoderCard(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, card.Graph.Name)
	graph, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	graph = append(graph, suffix...)
	if err := os.WriteFile(path, graph, 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(graph)
	card.Graph.SHA256 = hex.EncodeToString(sum[:])
	if change != nil {
		change(&card)
	}
	if err := models.WriteEncoderCard(dir, card); err != nil {
		t.Fatal(err)
	}
}

// A graph that gives token vectors is pooled and normalised here, and gives what the pooling graph gives.
func TestPoolingOutsideTheGraph(t *testing.T) {
	const tokens = "l11.oln.out"
	message := func(field protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), v)
	}
	// A second graph message in the file is merged into the first, so this declares one more output: a float tensor.
	float := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	output := append(message(1, []byte(tokens)), message(2, message(1, float))...)
	dir := copyEncoder(t)
	changeGraph(t, dir, message(7, message(12, output)), func(c *models.EncoderCard) {
		c.Output, c.GraphPools = tokens, false
	})
	agree(t, "pooled outside", .999999, vectors(t, convert.Int8), embed(t, newEncoder(t, Options{ModelDir: dir}), texts(t)...))
}

func TestNewFailure(t *testing.T) {
	f := func(o Options, want ...string) {
		t.Helper()
		e, err := New(o)
		if err == nil {
			e.Close()
			t.Errorf("New(%+v) succeeded, want an error with %q", o, want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q lacks %q", err, w)
			}
		}
	}
	f(Options{Workers: -1, Threads: -2, BatchTokens: -3, MaxBatch: -4, MaxTokens: 2},
		"Workers (-1)", "Threads (-2)", "BatchTokens (-3)", "MaxBatch (-4)", "MaxTokens (2)")
	absent := filepath.Join(t.TempDir(), "absent")
	f(Options{ModelDir: absent}, absent, "make setup", "jobstrom convert")

	corrupt := copyEncoder(t)
	if err := os.WriteFile(filepath.Join(corrupt, "model.onnx"), []byte("graph"), 0o644); err != nil {
		t.Fatal(err)
	}
	f(Options{ModelDir: corrupt}, "model.onnx is corrupt", "expected", "make setup")

	noGraph := copyEncoder(t)
	if err := os.Remove(filepath.Join(noGraph, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	f(Options{ModelDir: noGraph}, "tokenizer.json is missing", "make setup")

	// The hash is right, but ONNX Runtime cannot read the file.
	unreadable := copyEncoder(t)
	changeGraph(t, unreadable, []byte("\xff\xff\xff\xff"), nil)
	f(Options{ModelDir: unreadable}, "loading", "model.onnx")
}

// The test runs itself in processes that have not loaded ONNX Runtime yet.
func TestLibraryFailure(t *testing.T) {
	const variable = "EMBED_TEST_LIBRARY"
	if library := os.Getenv(variable); library != "" {
		fmt.Println(onnx.Open(library))
		return
	}
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := func(library string, want ...string) {
		t.Helper()
		c := exec.Command(os.Args[0], "-test.run=^TestLibraryFailure$")
		c.Env = append(os.Environ(), variable+"="+library)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("opening %s: %v\n%s", library, err, out)
		}
		for _, w := range append(want, "loading ONNX Runtime", "fetch it with `make setup`") {
			if !strings.Contains(string(out), w) {
				t.Errorf("opening %s says %q, which lacks %q", library, out, w)
			}
		}
	}
	f(filepath.Join(dir, "absent.so"), "absent.so: no such file")
	f(text, "text.so", "version 1.24 or newer")

	encoder(t, convert.Int8)
	if err := onnx.Open(text); err == nil || !strings.Contains(err.Error(), "this process has it from") {
		t.Errorf("opening a second library = %v, want a refusal", err)
	}
}

func TestOptionsNameTheNativeParts(t *testing.T) {
	t.Setenv(models.NativeEnv, filepath.Join(t.TempDir(), "absent"))
	var o Options
	o.EnsureDefaults()
	err := o.Validate()
	if err == nil || strings.Count(err.Error(), "make setup") != 2 {
		t.Errorf("Validate() = %v, want both paths to be missing", err)
	}
	native := t.TempDir()
	t.Setenv(models.NativeEnv, native)
	o = Options{}
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	if want := filepath.Join(native, "encoders", "e5-small-int8"); o.ModelDir != want {
		t.Errorf("ModelDir is %s, want %s", o.ModelDir, want)
	}
}
