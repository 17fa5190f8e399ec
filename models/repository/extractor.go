package repository

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// extractorConfig is the file that says of a folder that it holds an extractor, and where its graphs are.
const extractorConfig = "gliner2_config.json"

// extractorLayout is what gliner2_config.json says.
type extractorLayout struct {
	// MaxWidth is the longest entity in words.
	MaxWidth int `json:"max_width"`
	// SpecialTokens are the ids of the tokens that the prompt is made of.
	SpecialTokens map[string]int64 `json:"special_tokens"`
	// Graphs are paths by precision and role: encoder, span_rep, count_embed, classifier, count_pred.
	Graphs map[string]map[string]string `json:"onnx_files"`
}

// roles are an extractor's graphs, of which the last may be missing.
var roles = []string{"encoder", "span_rep", "count_embed", "classifier", "count_pred"}

// Extractor derives the card of the extractor in a folder: of the options, Name, Source and Licence count. It reads every byte of the files that the extractor
// needs, to hash them, and writes nothing. Errors name the file and the field, and say what to do.
func Extractor(dir string, o Options) (models.ExtractorCard, error) {
	o.EnsureDefaults(dir)
	c, err := extractor(folder(dir), o)
	if err != nil {
		return models.ExtractorCard{}, fmt.Errorf("describing the extractor in %s: %w", dir, err)
	}
	return c, nil
}

func extractor(f folder, o Options) (models.ExtractorCard, error) {
	var none models.ExtractorCard
	layout, err := readLayout(f)
	if err != nil {
		return none, err
	}
	var config modelConfig
	if there, err := f.json("config.json", maxConfig, &config); err != nil {
		return none, err
	} else if !there {
		return none, errors.New("reading config.json: it is missing; fetch the whole repository")
	}
	c := models.ExtractorCard{
		Kind: models.ExtractorGLiNER2, Name: o.Name, Source: o.Source, Licence: o.Licence,
		Hidden: config.Hidden, MaxWidth: layout.MaxWidth, SpecialTokens: layout.SpecialTokens, Graphs: map[string]models.ExtractorGraphs{},
	}
	if c.Hidden < 1 || c.Hidden > 1<<16 {
		return none, fmt.Errorf("reading config.json: hidden_size is %d, must be 1 to %d", c.Hidden, 1<<16)
	}
	if err := checkTokens(f, layout.SpecialTokens); err != nil {
		return none, err
	}
	sum, err := models.HashFile(f.path("tokenizer.json"))
	if err != nil {
		return none, err
	}
	c.Tokenizer = models.File{Name: "tokenizer.json", SHA256: sum}
	for _, precision := range models.Precisions() {
		names := layout.Graphs[precision]
		if !slices.ContainsFunc(roles, func(role string) bool { return names[role] != "" && f.exists(names[role]) }) {
			continue // one precision is enough, and half to fetch
		}
		if c.Graphs[precision], err = readExtractorGraphs(f, names); err != nil {
			return none, err
		}
	}
	if len(c.Graphs) == 0 {
		return none, fmt.Errorf("none of the graphs that %s names (onnx_files) is in the folder; fetch the whole repository", extractorConfig)
	}
	c = c.Identified()
	if err := c.Validate(); err != nil {
		return none, err
	}
	for _, precision := range models.Precisions() { // in this order, so that the same folder gives the same error
		if _, there := c.Graphs[precision]; !there {
			continue
		}
		if err := CheckExtractor(string(f), c, precision); err != nil {
			return none, err
		}
	}
	return c, nil
}

func readLayout(f folder) (extractorLayout, error) {
	data, err := f.read(extractorConfig, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return extractorLayout{}, fmt.Errorf("reading %s: it is missing: this is no extractor in the layout of GLiNER2; export a checkpoint with `jobstrom models export-gliner2`", extractorConfig)
	}
	if err != nil {
		return extractorLayout{}, err
	}
	return parseLayout(data)
}

// parseLayout reads and checks a gliner2_config.json.
func parseLayout(data []byte) (extractorLayout, error) {
	fail := func(format string, args ...any) (extractorLayout, error) {
		return extractorLayout{}, fmt.Errorf("reading "+extractorConfig+": "+format, args...)
	}
	var l extractorLayout
	if err := json.Unmarshal(data, &l); err != nil {
		return fail("%w; fetch it again", err)
	}
	if l.MaxWidth < 1 || l.MaxWidth > 64 {
		return fail("max_width is %d, must be 1 to 64", l.MaxWidth)
	}
	for _, token := range models.RequiredTokens() {
		if _, there := l.SpecialTokens[token]; !there {
			return fail("special_tokens lacks %s; export the model again", token)
		}
	}
	if len(l.Graphs) == 0 {
		return fail("onnx_files names no graphs; export the model again")
	}
	for _, precision := range slices.Sorted(maps.Keys(l.Graphs)) {
		for _, role := range roles {
			name, there := l.Graphs[precision][role]
			if !there && role == "count_pred" {
				continue
			}
			if !fs.ValidPath(name) || path.Ext(name) != ".onnx" || strings.Contains(name, `\`) {
				return fail("onnx_files.%.20s.%s (%.100q) must be the path of an .onnx file inside the folder", precision, role, name)
			}
		}
	}
	return l, nil
}

// checkTokens compares the special tokens with those that the tokenizer adds.
func checkTokens(f folder, want map[string]int64) error {
	var file struct {
		Added []struct {
			ID      int64
			Content string
		} `json:"added_tokens"`
		Model *struct{ Type string }
	}
	if there, err := f.json("tokenizer.json", maxTokenizer, &file); err != nil {
		return err
	} else if !there {
		return errors.New("reading tokenizer.json: it is missing; fetch the whole repository")
	}
	if file.Model == nil {
		return errors.New("reading tokenizer.json: model is missing; fetch it again")
	}
	has := map[string]int64{}
	for _, a := range file.Added {
		has[a.Content] = a.ID
	}
	for _, token := range slices.Sorted(maps.Keys(want)) {
		id := want[token]
		if got, there := has[token]; !there {
			return fmt.Errorf("reading tokenizer.json: it has no token %s, which %s gives the id %d: they are not of one model, fetch or export both again", token, extractorConfig, id)
		} else if got != id {
			return fmt.Errorf("reading tokenizer.json: its token %s has the id %d, %s says %d: they are not of one model, fetch or export both again", token, got, extractorConfig, id)
		}
	}
	return nil
}

// readExtractorGraphs hashes the graphs of one precision and the files that they name.
func readExtractorGraphs(f folder, names map[string]string) (models.ExtractorGraphs, error) {
	var g models.ExtractorGraphs
	files := make([]models.File, len(roles))
	for i, role := range roles {
		name := names[role]
		if name == "" {
			continue
		}
		if !f.exists(name) {
			return g, fmt.Errorf("looking for the graph %s: %s is missing; fetch the whole repository", role, name)
		}
		s, err := onnx.ReadSignature(f.path(name))
		if err != nil {
			return g, fmt.Errorf("%w; fetch it again or export it again", err)
		}
		external, err := readExternal(f, name, s.External)
		if err != nil {
			return g, err
		}
		sum, err := models.HashFile(f.path(name))
		if err != nil {
			return g, err
		}
		files[i] = models.File{Name: name, SHA256: sum}
		for _, e := range external {
			if !slices.Contains(g.External, e) {
				g.External = append(g.External, e)
			}
		}
	}
	g.Encoder, g.SpanRep, g.CountEmbed, g.Classifier = files[0], files[1], files[2], files[3]
	if files[4].Name != "" {
		g.CountPred = &files[4]
	}
	return g, nil
}

// CheckExtractor compares what the graphs of one precision take and give with the card.
func CheckExtractor(dir string, c models.ExtractorCard, precision string) error {
	g, there := c.Graphs[precision]
	if !there {
		return fmt.Errorf("the extractor %s has no graphs in %s: its card names %d precisions; pull it with --precision %s", c.Name, precision, len(c.Graphs), precision)
	}
	hidden := int64(c.Hidden)
	float := func(name string, dims ...int64) onnx.Value {
		return onnx.Value{Name: name, Type: onnx.Float, Dims: dims}
	}
	whole := func(name string) onnx.Value {
		return onnx.Value{Name: name, Type: onnx.Int64, Dims: []int64{-1, -1}}
	}
	type graph struct {
		file   models.File
		inputs []onnx.Value
		output onnx.Value
	}
	graphs := []graph{
		{g.Encoder, []onnx.Value{whole("input_ids"), whole("attention_mask")}, float("hidden_states", -1, -1, hidden)},
		{g.SpanRep, []onnx.Value{float("hidden_states", -1, -1, hidden), whole("span_start_idx"), whole("span_end_idx")}, float("span_representations", -1, -1, hidden)},
		{g.CountEmbed, []onnx.Value{float("label_embeddings", -1, hidden)}, float("transformed_embeddings", -1, hidden)},
		{g.Classifier, []onnx.Value{float("hidden_state", -1, hidden)}, float("logit", -1, 1)},
	}
	if g.CountPred != nil {
		graphs = append(graphs, graph{*g.CountPred, []onnx.Value{float("hidden_state", -1, hidden)}, float("count_logits", -1, 0)})
	}
	for _, g := range graphs {
		s, err := onnx.ReadSignature(folder(dir).path(g.file.Name))
		if err == nil {
			err = s.Check(g.inputs, []onnx.Value{g.output})
			if err != nil {
				err = fmt.Errorf("reading %s: %w: it is another graph or another model's", g.file.Name, err)
			}
		}
		if err != nil {
			return fmt.Errorf("%w; fetch it again or export it again with `jobstrom models export-gliner2`", err)
		}
	}
	return nil
}
