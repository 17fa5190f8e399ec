package embed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/daulet/tokenizers"

	"jobstrom/models"
)

// loadTokenizer loads the card's tokenizer, without what its file cuts and pads by itself, and with the lower case that the card asks for.
func loadTokenizer(dir string, card *models.EncoderCard) (*tokenizers.Tokenizer, error) {
	path := filepath.Join(dir, filepath.FromSlash(card.Tokenizer.Name))
	t, err := func() (*tokenizers.Tokenizer, error) {
		if !card.TokenizerCuts && !card.Lowercase {
			return tokenizers.FromFile(path)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if data, err = adjust(data, card.Lowercase); err != nil {
			return nil, err
		}
		return tokenizers.FromBytes(data)
	}()
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", path, err)
	}
	return t, nil
}

// adjust takes truncation and padding out of a tokenizer.json, and puts lower case before its normalizer, as sentence-transformers' do_lower_case does.
func adjust(data []byte, lowercase bool) ([]byte, error) {
	var file map[string]json.RawMessage
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	delete(file, "truncation")
	delete(file, "padding")
	if lowercase {
		normalizers := []json.RawMessage{json.RawMessage(`{"type": "Lowercase"}`)}
		if n := file["normalizer"]; len(n) > 0 && string(n) != "null" {
			normalizers = append(normalizers, n)
		}
		sequence, err := json.Marshal(map[string]any{"type": "Sequence", "normalizers": normalizers})
		if err != nil {
			return nil, err
		}
		file["normalizer"] = sequence
	}
	return json.Marshal(file)
}

// around is how many tokens the tokenizer puts before and after every text.
type around struct{ before, after int }

// specialTokens looks at what is put around a text.
func specialTokens(t *tokenizers.Tokenizer) (around, error) {
	mask := t.EncodeWithOptions("a", true, tokenizers.WithReturnSpecialTokensMask()).SpecialTokensMask
	var a around
	for a.before < len(mask) && mask[a.before] == 1 {
		a.before++
	}
	for a.before+a.after < len(mask) && mask[len(mask)-1-a.after] == 1 {
		a.after++
	}
	if a.before == len(mask) {
		return a, errors.New("loading the tokenizer: it gives no token for \"a\"")
	}
	return a, nil
}

// cut shortens what belongs to a row's tokens to n, on the right or on the left of the text; what is around the text stays.
func (a around) cut(tokens []uint32, n int, left bool) []uint32 {
	if left {
		return append(tokens[:a.before:a.before], tokens[len(tokens)-(n-a.before):]...)
	}
	return append(tokens[:n-a.after:n-a.after], tokens[len(tokens)-a.after:]...)
}
