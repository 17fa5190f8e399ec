package repository

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jobstrom/models"
)

// repositoryOf puts a repository together: what an architecture shares, and one way of pooling.
func repositoryOf(t testing.TB, architecture, way string) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"base", way} {
		from := filepath.Join("testdata", "encoders", architecture, part)
		err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			inside, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			to := filepath.Join(dir, inside)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			return os.WriteFile(to, data, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// cardOf returns the card of a repository that must have one.
func cardOf(t testing.TB, dir string, o Options) models.EncoderCard {
	t.Helper()
	c, err := Card(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCard(t *testing.T) {
	f := func(architecture, way string, change func(*models.EncoderCard)) {
		t.Helper()
		dir := repositoryOf(t, architecture, way)
		got := cardOf(t, dir, Options{Name: "tiny", Source: "test", Licence: "MIT"})
		want := models.EncoderCard{
			Name: "tiny", Source: "test", Licence: "MIT", Recipe: models.Recipe{Name: recipeName, Version: recipeVersion, Graph: "onnx/model.onnx"},
			Dim: 32, MaxTokens: 40, PadID: 1, Pooling: models.PoolingMean, Output: "last_hidden_state", Prompts: map[string]string{"document": "", "query": ""},
		}
		if architecture == "bert" {
			want.PadID, want.TokenTypes, want.TokenizerCuts = 0, true, true
		}
		change(&want)
		want.Graph, want.Tokenizer, want.SourceSHA256 = got.Graph, got.Tokenizer, got.SourceSHA256
		for i := range want.Dense {
			want.Dense[i].File = got.Dense[i].File
		}
		if diff := cmp.Diff(want.Identified(), got); diff != "" {
			t.Errorf("%s/%s (-want +got):\n%s", architecture, way, diff)
		}
		if err := models.WriteEncoderCard(dir, got); err != nil {
			t.Error(err)
		}
		if read, err := models.Verify(dir); err != nil || !cmp.Equal(read, got) {
			t.Errorf("%s/%s: read back %v", architecture, way, err)
		}
	}
	f("bert", "mean", func(c *models.EncoderCard) {})
	f("bert", "mean-normalize", func(c *models.EncoderCard) { c.Normalize = true })
	f("xlm-roberta", "cls", func(c *models.EncoderCard) { c.Pooling = models.PoolingCLS })
	f("bert", "max", func(c *models.EncoderCard) { c.Pooling, c.MaxTokens = models.PoolingMax, 24 })
	f("mpnet", "weightedmean", func(c *models.EncoderCard) { c.Pooling, c.Normalize = models.PoolingWeightedMean, true })
	f("mpnet", "lasttoken", func(c *models.EncoderCard) { c.Pooling, c.Normalize = models.PoolingLastToken, true })
	f("xlm-roberta", "left", func(c *models.EncoderCard) { c.Pooling, c.PadLeft, c.CutLeft = models.PoolingLastToken, true, true })
	f("bert", "left", func(c *models.EncoderCard) {
		c.Pooling, c.CutLeft = models.PoolingLastToken, true
		c.Notes = []string{"the tokenizer pads on the left; this graph counts positions from the row's beginning, so that padding is put on the right and a text has the same vector alone and in a batch"}
	})
	f("xlm-roberta", "lowercase", func(c *models.EncoderCard) { c.Lowercase, c.MaxTokens = true, 24 })
	f("bert", "dense", func(c *models.EncoderCard) {
		c.Dim, c.Dense = 16, []models.Dense{{In: 32, Out: 16, Bias: true, Activation: models.ActivationTanh}}
	})
	f("mpnet", "dense-normalize", func(c *models.EncoderCard) {
		c.Pooling, c.Normalize, c.Dim, c.Dense = models.PoolingCLS, true, 16, []models.Dense{{In: 32, Out: 16, Bias: true, Activation: models.ActivationIdentity}}
	})
	f("xlm-roberta", "prompt", func(c *models.EncoderCard) {
		c.Normalize, c.Prefix, c.Prompts = true, "query: ", map[string]string{"document": "", "query": "query: ", "instruct": models.VacancyInstruction}
	})
}

// Whatever changes a vector is another encoder.
func TestIdentity(t *testing.T) {
	ids := map[string]string{}
	add := func(what, id string) {
		t.Helper()
		if other := ids[id]; other != "" {
			t.Errorf("%s has the identity of %s", what, other)
		}
		ids[id] = what
	}
	for _, architecture := range []string{"bert", "xlm-roberta", "mpnet"} {
		for _, way := range []string{"mean", "mean-normalize", "cls", "max", "lasttoken", "weightedmean", "left", "dense", "dense-normalize", "prompt", "lowercase"} {
			add(architecture+"/"+way, cardOf(t, repositoryOf(t, architecture, way), Options{}).ID)
		}
	}
	dir := repositoryOf(t, "bert", "prompt")
	ordinary, instruct := cardOf(t, dir, Options{}), cardOf(t, dir, Options{Prompt: "instruct"})
	add("instruct", instruct.ID)
	if bare := cardOf(t, dir, Options{Prompt: "document"}); ids[bare.ID] != "bert/mean-normalize" {
		t.Errorf("without its prompt it is the encoder %q, want the one that has no prompt", ids[bare.ID])
	}
	add("another length", cardOf(t, dir, Options{MaxTokens: 16}).ID)
	if literal := cardOf(t, dir, Options{Prompt: models.VacancyInstruction}); literal.ID != instruct.ID || ordinary.WithPrompt("instruct").ID != instruct.ID {
		t.Error("a prompt by its name and by its text are two encoders")
	}
	if named := cardOf(t, dir, Options{Name: "another"}); named.ID != ordinary.ID || ordinary.WithPrompt("query").ID != ordinary.ID {
		t.Error("another name is another encoder")
	}
	e5 := cardOf(t, dir, Options{Name: "intfloat/multilingual-e5-large-instruct"})
	if e5.Prompts[models.PromptVacancy] != models.VacancyInstruction || e5.Prefix != "query: " || len(e5.Notes) != 1 {
		t.Errorf("an encoder for instructions has the prompts %q, the prefix %q and the notes %q", e5.Prompts, e5.Prefix, e5.Notes)
	}
}

// Without modules.json the mean is taken, as sentence-transformers does.
func TestCardWithoutModules(t *testing.T) {
	dir := repositoryOf(t, "xlm-roberta", "mean")
	for _, name := range []string{"modules.json", "1_Pooling/config.json", "config_sentence_transformers.json", "sentence_bert_config.json", "tokenizer_config.json"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	c := cardOf(t, dir, Options{})
	if c.Pooling != models.PoolingMean || c.Normalize || c.MaxTokens != 40 || c.PadID != 1 || len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "modules.json") {
		t.Errorf("got %+v", c)
	}
}

func TestCardFailure(t *testing.T) {
	f := func(way, file, content string, want ...string) {
		t.Helper()
		dir := repositoryOf(t, "bert", way)
		path := filepath.Join(dir, file)
		if content == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Card(dir, Options{})
		if err == nil {
			t.Errorf("%s with %.60q gives %+v", file, content, c)
			return
		}
		for _, w := range append(want, file) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s with %.60q: %q lacks %q", file, content, err, w)
			}
		}
	}
	modules := func(types ...string) string {
		var list []map[string]any
		for i, kind := range types {
			path := ""
			if strings.HasSuffix(kind, "Pooling") {
				path = "1_Pooling"
			}
			list = append(list, map[string]any{"idx": i, "type": kind, "path": path})
		}
		b, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const transformer, pooling = "sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"
	f("mean", "config.json", "", "missing", "fetch")
	f("mean", "config.json", "{", "unexpected end")
	f("mean", "config.json", `{"hidden_size": 64}`, "hidden_size is 64", "other files say 32")
	f("mean", "config.json", strings.Repeat(" ", maxConfig+1), "more than 1048576 bytes")
	f("mean", "config.json", `{"max_position_embeddings": 2, "model_type": "bert"}`, "at least 3", "max_position_embeddings")
	f("mean", "modules.json", `[]`, "0 modules")
	f("mean", "modules.json", `{}`, "cannot unmarshal")
	f("mean", "modules.json", modules(transformer), "no module of type")
	f("mean", "modules.json", modules(pooling), "must be a Transformer")
	f("mean", "modules.json", modules(transformer, pooling, "sentence_transformers.models.LSTM"), `LSTM"`, "not understood", "another encoder")
	f("mean", "modules.json", modules(transformer, pooling, "evil.Pooling"), `evil.Pooling"`)
	f("mean", "modules.json", modules(transformer, pooling, transformer), "must be the first")
	f("mean", "modules.json", modules(transformer, pooling, pooling), "the order must be")
	f("mean", "modules.json", modules(transformer, "sentence_transformers.models.Normalize", pooling), "the order must be")
	f("mean", "modules.json", `[{"type": "`+transformer+`", "path": "../.."}]`, "../..")
	f("mean", "modules.json", `[{"type": "`+transformer+`", "path": "0_Transformer"}]`, "to the top")
	f("mean", "1_Pooling/config.json", "", "missing")
	f("mean", "1_Pooling/config.json", `{"pooling_mode": "mean_sqrt_len_tokens"}`, "mean_sqrt_len_tokens", "pooling_mode")
	f("mean", "1_Pooling/config.json", `{"pooling_mode": ["mean", "max"]}`, "one way of pooling")
	f("mean", "1_Pooling/config.json", `{"pooling_mode": 7}`, "pooling_mode must be a text")
	f("mean", "1_Pooling/config.json", `{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}`, "pooling_mode_*", "one way of pooling")
	f("mean", "1_Pooling/config.json", `{}`, "one way of pooling")
	f("mean", "1_Pooling/config.json", `{"pooling_mode": "mean", "include_prompt": false}`, "include_prompt")
	f("mean", "tokenizer.json", "", "missing", "fast tokenizer")
	f("mean", "tokenizer.json", "{}", "model is missing")
	f("mean", "tokenizer_config.json", `{"padding_side": "top"}`, "padding_side", `"top"`)
	f("mean", "tokenizer_config.json", `{"truncation_side": "both"}`, "truncation_side", `"both"`)
	f("mean", "sentence_bert_config.json", `{"max_seq_length": -1}`, "max_seq_length is -1")
	f("mean", "sentence_bert_config.json", `{"max_seq_length": "many"}`, "max_seq_length")
	f("prompt", "config_sentence_transformers.json", `{"default_prompt_name": "q", "prompts": {"query": ""}}`, `"q"`, "default_prompt_name")
	f("mean", "onnx/model.onnx", "text", "malformed", "wire type")
	f("dense", "2_Dense/config.json", "", "missing")
	f("dense", "2_Dense/config.json", `{"in_features": 32, "out_features": 16, "activation_function": "torch.nn.modules.activation.Mish"}`, "Mish", "activation_function")
	f("dense", "2_Dense/config.json", `{"in_features": 32, "out_features": 16, "use_residual": true}`, "use_residual")
	f("dense", "2_Dense/config.json", `{"in_features": 32, "out_features": 16, "module_output_name": "x"}`, "module_output_name")
	f("dense", "2_Dense/model.safetensors", "", "missing", "safe_serialization")
	f("dense", "2_Dense/model.safetensors", "PK\x03\x04 a zip", "another format")

	wrong := func(o Options, want string) {
		t.Helper()
		if _, err := Card(repositoryOf(t, "bert", "mean"), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v gives %v, want %q", o, err, want)
		}
	}
	wrong(Options{MaxTokens: 2}, "MaxTokens (2)")
	wrong(Options{Graph: "../model.onnx"}, "Graph")
	wrong(Options{Graph: "onnx/other.onnx"}, "onnx/other.onnx is missing")
}

func TestFindGraph(t *testing.T) {
	f := func(files []string, want, problem string) {
		t.Helper()
		dir := t.TempDir()
		for _, name := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := findGraph(folder(dir), Options{})
		if got != want || (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
			t.Errorf("%v: %q, %v", files, got, err)
		}
	}
	f([]string{"model.onnx", "onnx/model.onnx"}, "onnx/model.onnx", "")
	f([]string{"model.onnx", "onnx/model_O4.onnx"}, "model.onnx", "")
	f([]string{"onnx/model_O4.onnx"}, "onnx/model_O4.onnx", "")
	f([]string{"onnx/a.onnx", "onnx/b.onnx"}, "", "choose one")
	f([]string{"model.safetensors"}, "", "no .onnx file")
}

// FuzzCard: whatever stands in the files, a card that is valid or an error.
func FuzzCard(f *testing.F) {
	names := []string{"config.json", "modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json", "tokenizer.json", "onnx/model.onnx"}
	dir := repositoryOf(f, "bert", "dense")
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), data)
	}
	whole := map[string][]byte{}
	for _, name := range names {
		whole[name], _ = os.ReadFile(filepath.Join(dir, name))
	}
	f.Fuzz(func(t *testing.T, at uint8, data []byte) {
		name := names[int(at)%len(names)]
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		defer os.WriteFile(filepath.Join(dir, name), whole[name], 0o644)
		c, err := Card(dir, Options{Name: "e5-instruct"})
		if err == nil && (c.Validate() != nil || !slices.Contains(models.Poolings(), c.Pooling)) {
			t.Fatalf("the card %+v is none: %v", c, c.Validate())
		}
	})
}
