package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// ExtractorGLiNER2 is the kind of extractors in the layout of GLiNER2: an encoder and the heads behind it, an ONNX graph each.
const ExtractorGLiNER2 = "gliner2"

// The precisions of weights that an extractor's folder may hold.
const (
	FP32 = "fp32"
	FP16 = "fp16"
)

// Precisions lists them, the default first.
func Precisions() []string { return []string{FP32, FP16} }

// Special tokens that an extractor's prompt is made of.
const (
	TokenTask        = "[P]"           // stands before the task's name
	TokenEntity      = "[E]"           // stands before a label of entities
	TokenClass       = "[L]"           // stands before a label of texts
	TokenText        = "[SEP_TEXT]"    // stands before the text
	TokenDescription = "[DESCRIPTION]" // stands before a label's description
)

// RequiredTokens returns those without which nothing can be asked.
func RequiredTokens() []string { return []string{TokenTask, TokenEntity, TokenClass, TokenText} }

// extractorRemedy ends every error about an extractor's files.
const extractorRemedy = "fetch it with `jobstrom models pull NAME`, make its card with `jobstrom models pull FOLDER`, or export it again with `jobstrom models export-gliner2`"

// ExtractorCard is an extractor's metadata, card.json in its folder.
type ExtractorCard struct {
	// Kind is ExtractorGLiNER2.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// ID is the extractor's identity: hex SHA-256 over the files' hashes and what decides an answer beside them.
	ID      string `json:"id"`
	Source  string `json:"source"`
	Licence string `json:"licence,omitempty"`

	// Hidden is the number of components of a token's vector.
	Hidden int `json:"hidden"`
	// MaxWidth is the longest entity in words.
	MaxWidth int `json:"max_width"`
	// SpecialTokens are the ids of the tokens that the prompt is made of.
	SpecialTokens map[string]int64 `json:"special_tokens"`
	// Tokenizer is the tokenizer.json.
	Tokenizer File `json:"tokenizer"`
	// Graphs are the weights by their precision.
	Graphs map[string]ExtractorGraphs `json:"graphs"`
	// Notes say what was assumed when the card was made.
	Notes []string `json:"notes,omitempty"`
}

// ExtractorGraphs are an extractor's graphs in one precision. Inputs and outputs are float32 in any.
type ExtractorGraphs struct {
	// Encoder: input_ids and attention_mask [rows, tokens] to hidden_states [rows, tokens, hidden].
	Encoder File `json:"encoder"`
	// SpanRep: hidden_states, span_start_idx and span_end_idx [rows, spans] to span_representations [rows, spans, hidden].
	SpanRep File `json:"span_rep"`
	// CountEmbed: label_embeddings to transformed_embeddings, both [labels, hidden].
	CountEmbed File `json:"count_embed"`
	// Classifier: hidden_state [rows, hidden] to logit [rows, 1].
	Classifier File `json:"classifier"`
	// CountPred: hidden_state [rows, hidden] to count_logits [rows, counts]; nil where the export has none.
	CountPred *File `json:"count_pred,omitempty"`
	// External are the files beside the graphs that hold their weights; the graphs name them.
	External []File `json:"external,omitempty"`
}

// Files returns the graphs and what lies beside them.
func (g ExtractorGraphs) Files() []File {
	files := []File{g.Encoder, g.SpanRep, g.CountEmbed, g.Classifier}
	if g.CountPred != nil {
		files = append(files, *g.CountPred)
	}
	return append(files, g.External...)
}

// Identified returns the card with the identity that follows from its other fields.
func (c ExtractorCard) Identified() ExtractorCard {
	c.ID = c.identity(slices.Sorted(maps.Keys(c.Graphs))...)
	return c
}

// Identity returns the identity of the extractor with the weights of one precision: hex SHA-256. It does not depend on what else the folder holds.
func (c ExtractorCard) Identity(precision string) string { return c.identity(precision) }

func (c ExtractorCard) identity(precisions ...string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n%d\n%s\n", c.Kind, c.Hidden, c.MaxWidth, c.Tokenizer.SHA256)
	for _, token := range slices.Sorted(maps.Keys(c.SpecialTokens)) {
		fmt.Fprintf(h, "%s %d\n", token, c.SpecialTokens[token])
	}
	for _, p := range precisions {
		io.WriteString(h, p+"\n")
		for _, f := range c.Graphs[p].Files() {
			io.WriteString(h, f.SHA256+"\n")
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ReadExtractorCard reads and validates the card of an extractor's folder.
func ReadExtractorCard(dir string) (ExtractorCard, error) {
	path, data, err := readCard(dir, "extractor", extractorRemedy)
	if err != nil {
		return ExtractorCard{}, err
	}
	return parseCard[ExtractorCard](path, data, "extractor", extractorRemedy)
}

// WriteExtractorCard validates the card and writes it into an extractor's folder.
func WriteExtractorCard(dir string, c ExtractorCard) error { return writeCard(dir, "extractor", c) }

// Validate reports every violation of the card at once.
func (c ExtractorCard) Validate() error {
	if c.Kind != ExtractorGLiNER2 {
		return fmt.Errorf("kind (%q) must be %q: it is no extractor", c.Kind, ExtractorGLiNER2)
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Name != "", "name is empty")
	check(c.Hidden > 0 && c.Hidden <= 1<<16, "hidden (%d) must be 1 to %d", c.Hidden, 1<<16)
	check(c.MaxWidth > 0 && c.MaxWidth <= 64, "max_width (%d) must be 1 to 64", c.MaxWidth)
	for _, token := range RequiredTokens() {
		_, there := c.SpecialTokens[token]
		check(there, "special_tokens lacks %s", token)
	}
	ids := map[int64]string{}
	for _, token := range slices.Sorted(maps.Keys(c.SpecialTokens)) {
		id := c.SpecialTokens[token]
		check(id >= 0 && id < 1<<31, "special_tokens: the id of %s (%d) must be 0 to %d", token, id, 1<<31-1)
		check(ids[id] == "", "special_tokens: %s and %s have the id %d both", ids[id], token, id)
		ids[id] = token
	}
	check(len(c.Graphs) > 0, "graphs is empty")
	files := []namedFile{{"tokenizer", c.Tokenizer}}
	for _, precision := range slices.Sorted(maps.Keys(c.Graphs)) {
		check(slices.Contains(Precisions(), precision), "graphs has the precision %q, which must be one of %q", precision, Precisions())
		for i, f := range c.Graphs[precision].Files() {
			files = append(files, namedFile{fmt.Sprintf("graphs.%s, file %d", precision, i+1), f})
		}
	}
	names := map[string]bool{}
	for _, f := range files {
		errs = append(errs, f.validate()...)
		check(!names[f.Name], "%s: name (%q) is another file's as well", f.field, f.Name)
		names[f.Name] = true
	}
	if len(errs) == 0 {
		want := c.Identified().ID
		check(c.ID == want, "id (%q) must be %q, the hash of the files' hashes and the settings", c.ID, want)
	}
	return errors.Join(errs...)
}

// Verify compares files of an extractor's folder with their hashes on the card: the tokenizer and the weights of these precisions, or of all. It reads every byte.
func (c ExtractorCard) Verify(dir string, precisions ...string) error {
	if len(precisions) == 0 {
		precisions = slices.Sorted(maps.Keys(c.Graphs))
	}
	files := []File{c.Tokenizer}
	for _, p := range precisions {
		files = append(files, c.Graphs[p].Files()...)
	}
	return verifyFiles(dir, "extractor "+c.Name, extractorRemedy, files)
}

// VerifyExtractor reads the card of an extractor's folder and verifies the folder's files against it.
func VerifyExtractor(dir string) (ExtractorCard, error) {
	c, err := ReadExtractorCard(dir)
	if err != nil {
		return ExtractorCard{}, err
	}
	return c, c.Verify(dir)
}
