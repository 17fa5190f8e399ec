package evaluate

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// read reads a file and returns what is wrong with it as lines.
func read(t *testing.T, name, content string) ([]Text, []string) {
	t.Helper()
	var wrong []string
	texts, err := Read(strings.NewReader(content), name, func(line int, err error) { wrong = append(wrong, fmt.Sprintf("%d: %v", line, err)) })
	if err != nil {
		t.Fatal(err)
	}
	return texts, wrong
}

func TestRead(t *testing.T) {
	f := func(name, content string, want ...Text) {
		t.Helper()
		got, wrong := read(t, name, content)
		if len(wrong) > 0 || len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v %v\nwant %+v", content, got, wrong, want)
		}
	}
	f("a.conll", "")
	f("a.conll", "# a comment\n\nVi\tO\nsøger\tO\nsmede\tB-OCC\n.\tO\n\n-DOCSTART-\tO\n\nKørekort\tNN\tB-SKILL\nB\tNN\tI-SKILL\n",
		Text{3, "Vi søger smede .", []Entity{{"OCC", 9, 14}}}, Text{10, "Kørekort B", []Entity{{"SKILL", 0, 10}}})
	f("a.bilou", "ét\tU-A\nto\tB-A\ntre\tI-A\nfire\tL-A\nfem\tS-B\nseks\tB-B\nsyv\tE-B\n",
		Text{1, "ét to tre fire fem seks syv", []Entity{{"A", 0, 2}, {"A", 3, 14}, {"B", 15, 18}, {"B", 19, 27}}})
	f("a.tsv", "a\tB-X\r\nb\tB-X\r\nc\tB-Y-Z\r\n\r\n", Text{1, "a b c", []Entity{{"X", 0, 1}, {"X", 2, 3}, {"Y-Z", 4, 5}}})
	f("a.tsv", "#\tO\n{\tO\n", Text{1, "# {", nil})
	f("-", "\ufeff{\"text\": \"Ål og 🐟\", \"id\": 7, \"entities\": [{\"label\": \"fish\", \"start\": 6, \"end\": 7}]}\n\n{\"text\":\"intet\"}",
		Text{1, "Ål og 🐟", []Entity{{"fish", 6, 7}}}, Text{3, "intet", nil})
}

func TestReadFailure(t *testing.T) {
	f := func(name, content string, texts int, want ...string) {
		t.Helper()
		got, wrong := read(t, name, content)
		if len(got) != texts || len(wrong) != len(want) {
			t.Errorf("%q: got %d texts, want %d; %q", content, len(got), texts, wrong)
			return
		}
		for i, w := range want {
			if !strings.HasPrefix(wrong[i], w) {
				t.Errorf("%q: got %q, want %q", content, wrong[i], w)
			}
		}
	}
	const good = "en\tO\n\n"
	f("a.conll", good+"kok\n", 1, "3: no TAB")
	f("a.conll", "kok B-OCC\nto\n\n"+good, 1, "1: no TAB") // once for a text
	f("a.conll", good+"kok\tI-OCC\n\n"+good, 2, "3: the tag \"I-OCC\" goes on with an entity that did not begin: put B-OCC before it")
	f("a.conll", "a\tB-X\nb\tI-Y\n", 0, "2: the tag \"I-Y\"")
	f("a.conll", "a\tU-X\nb\tI-X\n", 0, "2: the tag")
	f("a.conll", "a\tB-X\nb\tL-X\nc\tL-X\n", 0, "3: the tag")
	f("a.conll", "a\tB\n\nb\tQ-X\n\nc\t\n\nd\tO-X\n\n\tO\n", 0, "1: the tag is \"B\"", "3: the tag is \"Q-X\"", "5: the tag is \"\"", "7: the tag is \"O-X\"", "9: no token")
	f("a.conll", "a\tO\n\xe5\tO\n\n"+good, 1, "2: the line is not UTF-8")
	f("a.jsonl", "{\"text\": \n{\"text\":\" \"}\n{\"text\":\"kok\"}", 1, "1: not a JSON object", "2: text is missing")
	f("a.jsonl", `{"text":"kok","entities":[{"start":0,"end":1}]}`, 0, "1: entities[0] has no label")
	f("a.jsonl", `{"text":"kok","entities":[{"label":"a","start":0,"end":3},{"label":"a","start":2,"end":4}]}`, 0, "1: entities[1] is from 2 to 4: it must be 0 <= start < end <= 3")
	f("a.jsonl", `{"text":"kok","entities":[{"label":"a","start":2,"end":2}]}`, 0, "1: entities[0]")
	f("a.jsonl", `{"text":"kok","entities":[{"label":"a","start":-1,"end":2}]}`, 0, "1: entities[0]")
	f("a.jsonl", "\xff", 0, "1: the line is not UTF-8")
	if _, err := Read(strings.NewReader("a\tO\n"+strings.Repeat("a", maxLine+1)), "long.conll", nil); err == nil || !strings.Contains(err.Error(), "long.conll:2") {
		t.Errorf("a long line: %v", err)
	}
}

// FuzzRead holds for any file: no panic, and offsets that lie in their text.
func FuzzRead(f *testing.F) {
	f.Add("a.conll", "Vi\tO\nsmede\tB-OCC\n\n\xe5")
	f.Add("a.jsonl", `{"text":"kok","entities":[{"label":"a","start":0,"end":3}]}`)
	f.Fuzz(func(t *testing.T, name, content string) {
		texts, err := Read(strings.NewReader(content), name, func(int, error) {})
		if err != nil {
			return
		}
		for _, text := range texts {
			runes := []rune(text.Text)
			for _, e := range text.Entities {
				if e.Start < 0 || e.Start >= e.End || e.End > len(runes) || e.Label == "" {
					t.Errorf("%q: %+v", text.Text, e)
				}
			}
		}
	})
}
