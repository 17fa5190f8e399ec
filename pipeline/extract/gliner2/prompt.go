package gliner2

import (
	"fmt"
	"strings"

	"github.com/daulet/tokenizers"
	lru "github.com/hashicorp/golang-lru/v2"

	"jobstrom/models"
)

// Names of the two tasks, as both reference programs put them.
const (
	taskEntities = "entities"
	taskClasses  = "category"
)

// Words whose tokens are remembered: those of natural texts repeat, and each call of the tokenizer, a C library, costs some microseconds.
const (
	cachedWords      = 1 << 16
	longestCached    = 64 // bytes
	tokensOfWord     = 256
	privateUseForNUL = "\ue000"
)

// pieces turns words and parts of the prompt into tokens. Each is tokenised alone, without what a tokenizer puts around a text. It is safe for concurrent use.
type pieces struct {
	tokenizer *tokenizers.Tokenizer
	cache     *lru.Cache[string, []int64]
}

func newPieces(data []byte) (*pieces, error) {
	t, err := tokenizers.FromBytes(data)
	if err != nil {
		return nil, err
	}
	cache, err := lru.New[string, []int64](cachedWords)
	return &pieces{tokenizer: t, cache: cache}, err
}

// ids returns the tokens of a piece, which must not be changed. There may be none.
func (p *pieces) ids(piece string) []int64 {
	if len(piece) > longestCached {
		return p.encode(piece)
	}
	ids, known := p.cache.Get(piece)
	if !known {
		ids = p.encode(piece)
		p.cache.Add(strings.Clone(piece), ids)
	}
	return ids
}

func (p *pieces) encode(piece string) []int64 {
	// A NUL would end the piece for a C library. It is in no vocabulary, as a code point of private use is in none.
	encoded := p.tokenizer.EncodeWithOptions(strings.ReplaceAll(piece, "\x00", privateUseForNUL), false)
	ids := make([]int64, len(encoded.IDs))
	for i, id := range encoded.IDs {
		ids[i] = int64(id)
	}
	return ids
}

// prompt is what stands before a text: ( [P] task ( [E] label [E] label … ) ) [SEP_TEXT].
type prompt struct {
	ids []int64
	// task is the place of [P], labels those of the tokens before the labels.
	task   int
	labels []int
}

// newPrompt builds the prompt of a task whose labels are marked with a special token. Descriptions belong to the task's name (GLiNER2's SchemaTransformer._transform_schema).
func newPrompt(p *pieces, tokens map[string]int64, task, mark string, labels []Label) (prompt, error) {
	for _, l := range labels {
		if l.Description == "" {
			continue
		}
		if _, there := tokens[models.TokenDescription]; !there {
			return prompt{}, fmt.Errorf("the label %q has a description, and the model no token %s for it", l.Name, models.TokenDescription)
		}
		task += " " + models.TokenDescription + " " + l.Name + ": " + l.Description
	}
	var built prompt
	add := func(ids ...int64) { built.ids = append(built.ids, ids...) }
	add(p.ids("(")...)
	built.task = len(built.ids)
	add(tokens[models.TokenTask])
	add(p.ids(task)...)
	add(p.ids("(")...)
	for _, l := range labels {
		built.labels = append(built.labels, len(built.ids))
		add(tokens[mark])
		add(p.ids(l.Name)...)
	}
	add(p.ids(")")...)
	add(p.ids(")")...)
	add(tokens[models.TokenText])
	return built, nil
}
