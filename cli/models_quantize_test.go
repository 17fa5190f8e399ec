package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/models/repository"
)

// tinyEncoder puts the tiny encoder of random weights into a folder that models/repository is tested with.
func tinyEncoder(t *testing.T, dir string) {
	t.Helper()
	for _, layer := range []string{"base", "mean-normalize"} {
		must(t, os.CopyFS(dir, os.DirFS(filepath.Join("../models/repository/testdata/encoders/bert", layer))))
	}
	describeEncoder(t, dir)
}

func describeEncoder(t *testing.T, dir string) {
	t.Helper()
	card, err := repository.Card(dir, repository.Options{})
	must(t, err)
	must(t, models.WriteEncoderCard(dir, card))
}

// A pulled encoder is quantised by its name, measured on the samples and on texts of one's own, and written.
func TestModelsQuantize(t *testing.T) {
	data := t.TempDir()
	tinyEncoder(t, filepath.Join(data, "encoders", "a--b"))
	own := write(t, "texts.txt", "Murer søges\n\nKok til køkken\n")
	target := filepath.Join(data, "encoders", "a--b-q8")
	has(t, 0, []string{"Q8", "of 442 (", "holds", "12 products and 1 tables of embeddings replaced", "use it with --encoder " + target}, nil,
		"models", "quantize", "a/b", "--kind", "q8", "--texts", own, "--data", data)
	card, err := models.Verify(target)
	must(t, err)

	var told quantizeReport
	must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, "models", "quantize", filepath.Join(data, "encoders", "a--b"), "--embeddings", "float", "--keep", "/model/encoder/layer.0/*", "--dir", filepath.Join(data, "new"), "--format", "json")), &told))
	if told.Encoder.ID == card.ID || told.Original == told.Encoder.ID || told.Texts != 440 || told.Products != 6 || len(told.Left) != 6 || told.Embeddings != 0 || told.Bytes >= told.OriginalBytes {
		t.Errorf("told %+v", told)
	}
	if !told.Holds || told.Batched < .99999 || told.Cosine.Lowest < .99 || told.Cosine.Lowest > .99999 || told.Cosine.Mean < told.Cosine.Lowest {
		t.Errorf("told %+v", told)
	}
	if told.Alone < 100 || told.Flips > 220 || told.OriginalRight <= 0 || told.Right <= 0 || told.Speed.Lowest <= 0 || told.Speed.Median < told.Speed.Lowest || told.Speed.Highest < told.Speed.Median || told.PerSecond <= 0 {
		t.Errorf("told %+v", told)
	}
	// The same is said of two folders. One encoder differs in nothing from itself.
	has(t, 0, []string{"1.0000, 1.0000", "0 of 440 (0.0 %)", "holds", "440 texts"}, nil, "models", "compare", "a/b", "a/b", "--data", data)
	var compared quantizeReport
	must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, "models", "compare", "a/b", filepath.Join(data, "new"), "--data", data, "--format", "json")), &compared))
	if compared.Cosine != told.Cosine || compared.Flips != told.Flips || compared.Bytes != told.Bytes || compared.OriginalBytes != told.OriginalBytes {
		t.Errorf("quantize told %+v, compare %+v", told, compared)
	}
	has(t, 2, nil, []string{"--other-provider (tpu)"}, "models", "compare", "a/b", "a/b", "--other-provider", "tpu")
	has(t, 1, nil, []string{"their vectors have nothing in common"}, "models", "compare", "a/b", new(app).encoderDir(), "--data", data)
}

// An encoder that mixes the texts of a batch is measured and not written, unless one insists.
func TestModelsQuantizeVaries(t *testing.T) {
	dir, target := t.TempDir(), filepath.Join(t.TempDir(), "new")
	tinyEncoder(t, dir)
	path := filepath.Join(dir, "onnx", "model.onnx")
	model, err := os.ReadFile(path)
	must(t, err)
	source, err := onnx.ReadSource(model, nil)
	must(t, err)
	g := source.Graph("test")
	for _, n := range source.Nodes {
		if n.Op == "Softmax" {
			g.Node("", "Softmax", n.Outputs[0], n.Inputs, onnx.IntAttribute("axis", 0)) // over the texts
		} else {
			g.Take(n)
		}
	}
	g.TakeConstants(func(string) bool { return true })
	var b bytes.Buffer
	must(t, g.Encode(&b))
	must(t, os.WriteFile(path, b.Bytes(), 0o644))
	describeEncoder(t, dir)
	line := []string{"models", "quantize", dir, "--dir", target, "--data", t.TempDir()}
	has(t, 1, []string{"DOES NOT HOLD"}, []string{"depends on the texts it is batched with", "must be >= 0.99999", "--force"}, line...)
	if _, err := os.Stat(target); err == nil {
		t.Error("it was written")
	}
	has(t, 0, []string{"DOES NOT HOLD", "use it with --encoder " + target}, nil, append(line, "--force")...)
	_, err = models.Verify(target)
	must(t, err)
}

func TestModelsQuantizeFailures(t *testing.T) {
	data := t.TempDir()
	f := func(status int, want []string, more ...string) {
		t.Helper()
		has(t, status, nil, want, append([]string{"models", "quantize", "--data", data}, more...)...)
	}
	f(2, []string{"--embeddings is \"5\""}, "x", "--embeddings", "5")
	f(2, []string{"Kind (fp8) must be one of", "Block (31) must be"}, "x", "--kind", "fp8", "--block", "31")
	f(2, nil)
	f(1, []string{"quantising ", "card.json is missing"}, "nowhere/x")
	f(1, []string{"reading texts", "no such file"}, "x", "--texts", "nowhere.txt")
	f(1, []string{"it has none"}, "x", "--texts", write(t, "texts.txt", "\n \n"))
}
