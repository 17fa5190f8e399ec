package repository

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"jobstrom/models"
)

const (
	recipeName    = "sentence-transformers"
	recipeVersion = 1
	maxTokens     = 1 << 17
	maxPrompts    = 256
)

// modelConfig is what config.json says. What a file does not say is zero or nil.
type modelConfig struct {
	Type      string `json:"model_type"`
	Hidden    int    `json:"hidden_size"`
	Positions int    `json:"max_position_embeddings"`
	PadID     *int64 `json:"pad_token_id"`
}

// afterPadding are the architectures that count positions from the padding token's number plus one.
var afterPadding = []string{"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text"}

// offset returns the position of the first token.
func (c modelConfig) offset(padID int64) int64 {
	if !slices.Contains(afterPadding, c.Type) {
		return 0
	}
	if c.Type == "mpnet" { // whatever config.json says, its padding token is 1
		return 2
	}
	if c.PadID != nil {
		padID = *c.PadID
	}
	return max(padID, 0) + 1
}

// Card derives the card of the encoder in a folder. It reads every byte of the files that the encoder needs, to hash them, and writes nothing. Errors name
// the file and the field, and say what to do.
func Card(dir string, o Options) (models.EncoderCard, error) {
	o.EnsureDefaults(dir)
	if err := o.Validate(); err != nil {
		return models.EncoderCard{}, fmt.Errorf("describing the encoder in %s: %w", dir, err)
	}
	c, err := card(folder(dir), o)
	if err != nil {
		return models.EncoderCard{}, fmt.Errorf("describing the encoder in %s: %w", dir, err)
	}
	return c, nil
}

func card(f folder, o Options) (models.EncoderCard, error) {
	var none models.EncoderCard
	var config modelConfig
	if there, err := f.json("config.json", maxConfig, &config); err != nil {
		return none, err
	} else if !there {
		return none, fmt.Errorf("reading config.json: it is missing; fetch the whole repository")
	}
	r, err := readModules(f)
	if err != nil {
		return none, err
	}
	t, err := readTokenizer(f, config)
	if err != nil {
		return none, err
	}
	name, err := findGraph(f, o)
	if err != nil {
		return none, err
	}
	g, err := readGraph(f, name)
	if err != nil {
		return none, err
	}
	c := models.EncoderCard{
		Name: o.Name, Source: o.Source, Licence: o.Licence, Recipe: models.Recipe{Name: recipeName, Version: recipeVersion, Graph: g.file.Name},
		PadID: t.padID, PadLeft: t.padLeft, CutLeft: t.cutLeft, TokenizerCuts: t.cuts,
		Pooling: r.pooling, Normalize: r.normalize, Dense: r.dense, Notes: r.notes,
		Output: g.output, GraphPools: g.pools, TokenTypes: g.tokenTypes, Graph: g.file, External: g.external,
	}
	if g.pools {
		c.Dense = nil
		c.Notes = append(c.Notes, "the graph gives sentence_embedding only: it is taken to do all that modules.json says")
	}
	if c.PadLeft && !g.positions && !slices.Contains(afterPadding, config.Type) {
		c.PadLeft = false
		c.Notes = append(c.Notes, "the tokenizer pads on the left; this graph counts positions from the row's beginning, so that padding is put on the right and a text has the same vector alone and in a batch")
	}
	if g.positions {
		first := config.offset(t.padID)
		c.FirstPosition = &first
	}
	sum, err := models.HashFile(f.path("tokenizer.json"))
	if err != nil {
		return none, err
	}
	c.Tokenizer = models.File{Name: "tokenizer.json", SHA256: sum}
	c.SourceSHA256 = weights(c)
	if err := setDim(&c, g, r, config); err != nil {
		return none, err
	}
	if err := setLength(f, &c, o, t, config); err != nil {
		return none, err
	}
	if err := setPrompts(f, &c, o); err != nil {
		return none, err
	}
	c = c.Identified()
	return c, c.Validate()
}

// weights hashes the hashes of the files that hold weights.
func weights(c models.EncoderCard) string {
	h := sha256.New()
	io.WriteString(h, c.Graph.SHA256)
	for _, f := range c.External {
		io.WriteString(h, f.SHA256)
	}
	for _, d := range c.Dense {
		io.WriteString(h, d.File.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// setDim sets the number of components. All that say it must agree.
func setDim(c *models.EncoderCard, g graph, r recipe, config modelConfig) error {
	out := 0
	if len(r.dense) > 0 {
		out = r.dense[len(r.dense)-1].Out
		if c.GraphPools {
			r.dim, config.Hidden = out, 0
		}
	}
	said := 0
	for _, d := range []struct {
		from string
		dim  int
	}{{c.Graph.Name + ": the last dimension of " + g.output, g.dim}, {"the pooling's config.json: embedding_dimension", r.dim}, {"config.json: hidden_size", config.Hidden}} {
		if d.dim < 0 || d.dim > 1<<16 {
			return fmt.Errorf("%s is %d, must be 1 to %d", d.from, d.dim, 1<<16)
		}
		if said != 0 && d.dim != 0 && d.dim != said {
			return fmt.Errorf("%s is %d, but other files say %d: they are not of one encoder, fetch them again", d.from, d.dim, said)
		}
		said = max(said, d.dim)
	}
	if said == 0 {
		return fmt.Errorf("neither %s nor config.json (hidden_size) says how many components a vector has", c.Graph.Name)
	}
	if len(c.Dense) > 0 && c.Dense[0].In != said {
		return fmt.Errorf("%s takes %d components, the pooling gives %d: they are not of one encoder, fetch them again", c.Dense[0].File.Name, c.Dense[0].In, said)
	}
	if c.Dim = said; len(c.Dense) > 0 {
		c.Dim = out
	}
	return nil
}

// setLength sets the longest input: what sentence-transformers says, or the tokenizer, and never more than the encoder has positions.
func setLength(f folder, c *models.EncoderCard, o Options, t tokenizer, config modelConfig) error {
	var s struct {
		Max       *int `json:"max_seq_length"`
		Lowercase bool `json:"do_lower_case"`
	}
	const name = "sentence_bert_config.json"
	if _, err := f.json(name, maxConfig, &s); err != nil {
		return err
	}
	c.Lowercase = s.Lowercase
	switch {
	case s.Max != nil && (*s.Max < 3 || *s.Max > maxTokens):
		return fmt.Errorf("reading %s: max_seq_length is %d, must be 3 to %d", name, *s.Max, maxTokens)
	case s.Max != nil:
		c.MaxTokens = *s.Max
	default:
		c.MaxTokens = t.maxTokens
	}
	if config.Positions > 0 {
		fits := int(min(max(int64(config.Positions)-config.offset(c.PadID), 0), maxTokens))
		if c.MaxTokens > fits {
			c.Notes = append(c.Notes, fmt.Sprintf("the longest input is said to be %d tokens, but config.json has positions for %d", c.MaxTokens, fits))
		}
		if c.MaxTokens == 0 || c.MaxTokens > fits {
			c.MaxTokens = fits
		}
	}
	if o.MaxTokens > 0 && (c.MaxTokens == 0 || o.MaxTokens < c.MaxTokens) {
		c.MaxTokens = o.MaxTokens
	}
	if c.MaxTokens < 3 {
		return fmt.Errorf("none of %s (max_seq_length), tokenizer_config.json (model_max_length) and config.json (max_position_embeddings) says how many tokens an input may have, at least 3; set MaxTokens", name)
	}
	return nil
}

// setPrompts sets the prompts and the one that is used.
func setPrompts(f folder, c *models.EncoderCard, o Options) error {
	var s struct {
		Prompts map[string]string `json:"prompts"`
		Default *string           `json:"default_prompt_name"`
	}
	const name = "config_sentence_transformers.json"
	if _, err := f.json(name, maxConfig, &s); err != nil {
		return err
	}
	if len(s.Prompts) > maxPrompts {
		return fmt.Errorf("reading %s: prompts has %d entries, more than %d", name, len(s.Prompts), maxPrompts)
	}
	c.Prompts = s.Prompts
	if lower := strings.ToLower(c.Name); strings.Contains(lower, "e5") && strings.Contains(lower, "instruct") {
		if c.Prompts == nil {
			c.Prompts = map[string]string{}
		}
		if _, there := c.Prompts[models.PromptVacancy]; !there {
			c.Prompts[models.PromptVacancy] = models.VacancyInstruction
			c.Notes = append(c.Notes, fmt.Sprintf("the prompt %q is not the repository's: it is the instruction of the reference system, for encoders that were trained with instructions", models.PromptVacancy))
		}
	}
	if s.Default != nil && *s.Default != "" {
		text, ok := c.Prompts[*s.Default]
		if !ok {
			return fmt.Errorf("reading %s: default_prompt_name is %.80q, which is none of prompts", name, *s.Default)
		}
		c.Prefix = text
	}
	*c = c.WithPrompt(o.Prompt)
	return nil
}
