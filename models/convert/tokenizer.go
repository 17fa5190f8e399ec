package convert

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// object is a JSON object; encoding/json writes its keys in order, so equal objects give equal bytes.
type object = map[string]any

// writeTokenizer writes the vocabulary as a tokenizer.json: a Unigram model after NFKC, removal of
// control characters, folding of spaces, and the space mark ▁ before each word; <s> … </s> around it.
func writeTokenizer(w io.Writer, f *e5File) error {
	vocabulary := make([][2]any, len(f.pieces))
	for i, p := range f.pieces {
		vocabulary[i] = [2]any{p, float64(f.scores[i])}
	}
	specials := []int{f.bos, f.eos, f.pad, f.unknown}
	mask := slices.Index(f.pieces, "<mask>")
	if mask >= 0 {
		specials = append(specials, mask)
	}
	slices.Sort(specials)
	added := []object{}
	for _, id := range slices.Compact(specials) {
		added = append(added, object{
			"id": id, "content": f.pieces[id], "special": true,
			"single_word": false, "lstrip": id == mask, "rstrip": false, "normalized": false,
		})
	}

	normalizers := []object{}
	replace := func(pattern, with string) {
		normalizers = append(normalizers, object{"type": "Replace", "pattern": object{"Regex": pattern}, "content": with})
	}
	if len(f.deleted) > 0 {
		replace(characterClass(f.deleted), "")
	}
	if len(f.spaces) > 0 {
		replace(characterClass(f.spaces), " ")
	}
	normalizers = append(normalizers, object{"type": "NFKC"})
	replace(" {2,}", " ")

	begin, end := f.pieces[f.bos], f.pieces[f.eos]
	special := func(token string) object { return object{"SpecialToken": object{"id": token, "type_id": 0}} }
	sequence := func(id string) object { return object{"Sequence": object{"id": id, "type_id": 0}} }
	metaspace := object{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}

	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(object{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added,
		"normalizer":    object{"type": "Sequence", "normalizers": normalizers},
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []object{{"type": "WhitespaceSplit"}, metaspace}},
		"post_processor": object{
			"type":   "TemplateProcessing",
			"single": []object{special(begin), sequence("A"), special(end)},
			"pair":   []object{special(begin), sequence("A"), special(end), special(end), sequence("B"), special(end)},
			"special_tokens": object{
				begin: object{"id": begin, "ids": []int{f.bos}, "tokens": []string{begin}},
				end:   object{"id": end, "ids": []int{f.eos}, "tokens": []string{end}},
			},
		},
		"decoder": metaspace,
		"model":   object{"type": "Unigram", "unk_id": f.unknown, "vocab": vocabulary, "byte_fallback": false},
	})
}

// characterClass writes a regular expression that matches one of the characters, which are in order.
func characterClass(chars []rune) string {
	var b strings.Builder
	for i := 0; i < len(chars); {
		j := i
		for j+1 < len(chars) && chars[j+1] == chars[j]+1 {
			j++
		}
		if fmt.Fprintf(&b, `\x{%x}`, chars[i]); j > i {
			fmt.Fprintf(&b, `-\x{%x}`, chars[j])
		}
		i = j + 1
	}
	return "[" + b.String() + "]"
}
