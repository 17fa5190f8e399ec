package convert

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestCharacterClass(t *testing.T) {
	f := func(want string, chars ...rune) {
		t.Helper()
		if got := characterClass(chars); got != want {
			t.Errorf("characterClass(%q) = %s, want %s", chars, got, want)
		}
	}
	f(`[\x{9}]`, 9)
	f(`[\x{1}-\x{3}\x{8}\x{a0}-\x{a1}]`, 1, 2, 3, 8, 0xa0, 0xa1)
}

func TestWriteTokenizer(t *testing.T) {
	file, err := readE5(smallE5())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeTokenizer(&out, file); err != nil {
		t.Fatal(err)
	}
	var got struct {
		AddedTokens []struct {
			ID      int
			Content string
			Lstrip  bool
		} `json:"added_tokens"`
		Model struct {
			Type  string
			UnkID int `json:"unk_id"`
			Vocab [][2]any
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Model.Type != "Unigram" || got.Model.UnkID != 3 || len(got.Model.Vocab) != 8 {
		t.Errorf("the model is %+v", got.Model)
	}
	// A score must keep every bit of its fp32 number.
	if piece := got.Model.Vocab[1]; piece[0] != "<pad>" || piece[1] != float64(float32(-1)/3) {
		t.Errorf("piece 1 is %v", piece)
	}
	if n := len(got.AddedTokens); n != 5 || got.AddedTokens[4].Content != "<mask>" || !got.AddedTokens[4].Lstrip {
		t.Errorf("special tokens are %+v", got.AddedTokens)
	}
}
