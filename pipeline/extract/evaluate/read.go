package evaluate

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Text is a text with the entities that people marked in it.
type Text struct {
	// Line is where it begins in its file, from 1.
	Line     int      `json:"-"`
	Text     string   `json:"text"`
	Entities []Entity `json:"entities"`
}

// Entity is a marked part of a text: its code points from Start up to End, which is behind the last one.
type Entity struct {
	Label string `json:"label"`
	Start int    `json:"start"`
	End   int    `json:"end"`
}

// maxLine is the longest line that is read, in bytes.
const maxLine = 16 << 20

// Read reads annotated texts, as JSONL where the file's name or first line says so, else as CoNLL. What is wrong with a text goes to bad, with its line, and
// the text is left out; bad lets the reading go on. The error is that of reading itself.
//
// JSONL has a text on each line, {"text": "…", "entities": [{"label": "…", "start": 0, "end": 3}]}, with offsets in code points; other fields are
// ignored.
//
// CoNLL has a token on each line, a TAB, any other columns, and as the last one its tag; an empty line ends a text, whose tokens are joined by spaces. Lines with # and without
// TAB are comments, -DOCSTART- is skipped. Tags are BIO (B-LABEL begins an entity, I-LABEL goes on with it, O is none) or BILOU (L-LABEL ends one, U-LABEL
// is one of a single token), with E and S for L and U, too.
func Read(in io.Reader, name string, bad func(line int, err error)) ([]Text, error) {
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, maxLine)
	r := reader{bad: bad}
	jsonl := strings.HasPrefix(filepath.Ext(name), ".json") || filepath.Ext(name) == ".ndjson"
	for ; sc.Scan(); r.line++ {
		line := strings.TrimSuffix(sc.Text(), "\r")
		if r.line == 0 {
			line = strings.TrimPrefix(line, "\ufeff")
			jsonl = jsonl || strings.HasPrefix(line, "{") && !strings.Contains(line, "\t")
		}
		switch {
		case !utf8.ValidString(line):
			r.refuse(errors.New("the line is not UTF-8"))
		case jsonl:
			r.json(line)
		default:
			r.token(line)
		}
	}
	r.end()
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("reading annotated texts from %s:%d: %w", name, r.line+1, err)
	}
	return r.texts, nil
}

// reader collects texts.
type reader struct {
	texts []Text
	bad   func(int, error)
	line  int // before the one in hand

	// The text in hand, of CoNLL.
	tokens  []string
	length  int // in code points
	began   int
	open    string // label of the entity that may go on
	marked  []Entity
	refused bool // its other lines are skipped
}

func (r *reader) refuse(err error) {
	if !r.refused {
		r.bad(r.line+1, err)
	}
	r.refused = true
}

func (r *reader) json(line string) {
	r.refused = false
	if strings.TrimSpace(line) == "" {
		return
	}
	t := Text{Line: r.line + 1}
	if err := json.Unmarshal([]byte(line), &t); err != nil {
		r.refuse(fmt.Errorf("not a JSON object with text and entities: %w", err))
		return
	}
	if strings.TrimSpace(t.Text) == "" {
		r.refuse(errors.New("text is missing or empty"))
		return
	}
	n := utf8.RuneCountInString(t.Text)
	for i, e := range t.Entities {
		switch {
		case e.Label == "":
			r.refuse(fmt.Errorf("entities[%d] has no label", i))
			return
		case e.Start < 0 || e.Start >= e.End || e.End > n:
			r.refuse(fmt.Errorf("entities[%d] is from %d to %d: it must be 0 <= start < end <= %d, the text's code points", i, e.Start, e.End, n))
			return
		}
	}
	r.texts = append(r.texts, t)
}

func (r *reader) token(line string) {
	if strings.TrimSpace(line) == "" {
		r.end()
		return
	}
	columns := strings.Split(line, "\t")
	token, tag := columns[0], columns[len(columns)-1]
	switch {
	case len(columns) == 1 && strings.HasPrefix(line, "#"), strings.HasPrefix(token, "-DOCSTART-"):
		return
	case len(columns) == 1:
		r.refuse(errors.New("no TAB between a token and its tag"))
		return
	case strings.TrimSpace(token) == "":
		r.refuse(errors.New("no token before the TAB"))
		return
	}
	if len(r.tokens) == 0 {
		r.began = r.line + 1
	} else {
		r.length++ // the space
	}
	start := r.length
	r.length += utf8.RuneCountInString(token)
	r.tokens = append(r.tokens, token)
	kind, label, labelled := strings.Cut(strings.TrimSpace(tag), "-")
	open := r.open
	r.open = ""
	switch {
	case kind == "O" && !labelled:
	case label == "":
		r.refuse(fmt.Errorf("the tag is %.40q: it must be O, or like B-LABEL", tag))
	case kind == "B", kind == "U", kind == "S":
		r.marked = append(r.marked, Entity{label, start, r.length})
		if kind == "B" {
			r.open = label
		}
	case kind == "I", kind == "L", kind == "E":
		if open != label {
			r.refuse(fmt.Errorf("the tag %.40q goes on with an entity that did not begin: put B-%.40s before it", tag, label))
			return
		}
		r.marked[len(r.marked)-1].End = r.length
		if kind == "I" {
			r.open = label
		}
	default:
		r.refuse(fmt.Errorf("the tag is %.40q: it must begin with B-, I-, L-, U-, E- or S-, or be O", tag))
	}
}

// end ends the text in hand, if there is one.
func (r *reader) end() {
	if len(r.tokens) > 0 && !r.refused {
		r.texts = append(r.texts, Text{r.began, strings.Join(r.tokens, " "), r.marked})
	}
	r.tokens, r.length, r.open, r.marked, r.refused = nil, 0, "", nil, false
}
