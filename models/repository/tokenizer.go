package repository

import (
	"encoding/json"
	"fmt"
	"strings"
)

// tokenizer is what tokenizer.json and tokenizer_config.json say beside the vocabulary.
type tokenizer struct {
	padID     int64
	padLeft   bool
	cutLeft   bool
	cuts      bool // the file cuts or pads by itself
	maxTokens int  // 0 where it is not said
}

// text is a token in a configuration: its text, or an object that has it as content.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err == nil {
		*t = text(s)
		return nil
	}
	var o struct {
		Content string `json:"content"`
	}
	err := json.Unmarshal(data, &o)
	*t = text(o.Content)
	return err
}

// readTokenizer reads tokenizer.json and tokenizer_config.json, of which the second decides, as in transformers.
func readTokenizer(f folder, model modelConfig) (tokenizer, error) {
	var file struct {
		Truncation *struct{ Direction string }
		Padding    *struct {
			Direction string
			PadID     *int64 `json:"pad_id"`
		}
		Added []struct {
			ID      int64
			Content string
		} `json:"added_tokens"`
		Model *struct {
			Type  string
			Vocab json.RawMessage
		}
	}
	if there, err := f.json("tokenizer.json", maxTokenizer, &file); err != nil {
		return tokenizer{}, err
	} else if !there {
		return tokenizer{}, fmt.Errorf("reading tokenizer.json: it is missing; fetch the whole repository, or save it with a fast tokenizer (AutoTokenizer.from_pretrained(…, use_fast=True).save_pretrained(…))")
	}
	if file.Model == nil {
		return tokenizer{}, fmt.Errorf("reading tokenizer.json: model is missing; fetch it again")
	}
	var c struct {
		PadToken   text    `json:"pad_token"`
		Padding    string  `json:"padding_side"`
		Truncation string  `json:"truncation_side"`
		MaxLength  float64 `json:"model_max_length"`
	}
	if _, err := f.json("tokenizer_config.json", maxConfig, &c); err != nil {
		return tokenizer{}, err
	}
	t := tokenizer{cuts: file.Truncation != nil || file.Padding != nil, padID: -1}
	if c.MaxLength >= 1 && c.MaxLength <= maxTokens { // 10^30 says that there is no limit
		t.maxTokens = int(c.MaxLength)
	}
	if c.Truncation == "" && file.Truncation != nil {
		c.Truncation = strings.ToLower(file.Truncation.Direction)
	}
	if c.Padding == "" && file.Padding != nil {
		c.Padding = strings.ToLower(file.Padding.Direction)
	}
	for _, side := range []struct {
		field, value string
		left         *bool
	}{{"padding_side", c.Padding, &t.padLeft}, {"truncation_side", c.Truncation, &t.cutLeft}} {
		if side.value != "" && side.value != "left" && side.value != "right" {
			return tokenizer{}, fmt.Errorf("reading tokenizer_config.json: %s is %.80q, must be left or right", side.field, side.value)
		}
		*side.left = side.value == "left"
	}
	for _, a := range file.Added {
		if c.PadToken != "" && a.Content == string(c.PadToken) {
			t.padID = a.ID
		}
	}
	if t.padID < 0 && c.PadToken != "" {
		var vocabulary map[string]int64 // of WordPiece and BPE; Unigram's is a list, whose special tokens are added ones
		if json.Unmarshal(file.Model.Vocab, &vocabulary) == nil {
			if id, ok := vocabulary[string(c.PadToken)]; ok {
				t.padID = id
			}
		}
	}
	if t.padID < 0 && file.Padding != nil && file.Padding.PadID != nil {
		t.padID = *file.Padding.PadID
	}
	if t.padID < 0 && model.PadID != nil {
		t.padID = *model.PadID
	}
	if t.padID < 0 || t.padID > 1<<31 {
		return tokenizer{}, fmt.Errorf("reading tokenizer_config.json: pad_token (%.80q) has no number in tokenizer.json, and neither padding.pad_id there nor pad_token_id in config.json is one; set pad_token", string(c.PadToken))
	}
	return t, nil
}
