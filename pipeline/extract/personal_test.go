package extract

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// planted is an item of personal data that somebody put into a text.
type planted struct {
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var rows []T
	for sc := bufio.NewScanner(file); sc.Scan(); {
		var row T
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			t.Fatalf("reading %s: %s", path, err)
		}
		rows = append(rows, row)
	}
	return rows
}

// limits are the shares of planted items that may remain.
var limits = map[Kind]float64{CPR: 0, Email: 0, URL: 0, Phone: 0, Address: 0.02, Name: 0.02}

// tally counts planted items and those that remain.
type tally struct{ planted, remain map[Kind]int }

func newTally() *tally { return &tally{map[Kind]int{}, map[Kind]int{}} }

func (c *tally) check(t *testing.T) {
	t.Helper()
	for _, kind := range []Kind{CPR, Email, URL, Phone, Address, Name} {
		if c.planted[kind] == 0 {
			t.Errorf("%s: none planted", kind)
			continue
		}
		share := float64(c.remain[kind]) / float64(c.planted[kind])
		t.Logf("%-8s %d of %d remain (%.1f %%)", kind, c.remain[kind], c.planted[kind], 100*share)
		if share > limits[kind] {
			t.Errorf("%s: %.1f %% remain, the limit is %.1f %%", kind, 100*share, 100*limits[kind])
		}
	}
}

func TestPersonalDataOfSentences(t *testing.T) {
	type sentence struct {
		Text   string    `json:"text"`
		Remove []planted `json:"remove"`
		Keep   []string  `json:"keep"`
	}
	s := NewScrubber()
	count := newTally()
	kept, keep := 0, 0
	for i, row := range readLines[sentence](t, "../../samples/pii.jsonl") {
		got, _ := s.Remove(Clean(row.Text))
		for _, item := range row.Remove {
			count.planted[item.Kind]++
			if remains(got, item) {
				count.remain[item.Kind]++
				t.Logf("line %d: %s %q remains: %s", i+1, item.Kind, item.Text, got)
			}
		}
		for _, want := range row.Keep {
			keep++
			if strings.Contains(got, Clean(want)) {
				kept++
			} else {
				t.Logf("line %d: %q is gone: %s", i+1, want, got)
			}
		}
	}
	count.check(t)
	t.Logf("kept %d of %d (%.1f %%)", kept, keep, 100*float64(kept)/float64(keep))
	if float64(kept) < 0.99*float64(keep) {
		t.Errorf("kept %d of %d, at least 99 %% must stay", kept, keep)
	}
}

// remains tells whether a planted item, or its telling part, is still in a text.
func remains(text string, item planted) bool {
	want := Clean(item.Text)
	if item.Kind == Address { // the street and number are what finds a person
		want, _, _ = strings.Cut(want, ",")
	}
	return contains(text, want)
}

// contains looks for a whole word or phrase.
func contains(text, want string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], want)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(want)
		if (start == 0 || !isWord(before(text, start))) && (end == len(text) || !isWord(after(text, end))) {
			return true
		}
		from = end
	}
}
