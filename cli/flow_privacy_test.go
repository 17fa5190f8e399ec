package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/models"
)

// planted is an item of personal data in the samples.
type planted struct{ ID, Kind, Text string }

// privacy searches every topic but raw and dead letters, every table and the log for what was planted in the samples, which the README's commands published.
func (f *flowUnderTest) privacy(t *testing.T) {
	f.t = t
	var everything strings.Builder // what is not a vacancy's own: the log
	everything.WriteString(f.log.String())
	ofVacancy := map[string]*strings.Builder{}
	add := func(id, text string) {
		if ofVacancy[id] == nil {
			ofVacancy[id] = &strings.Builder{}
		}
		ofVacancy[id].WriteString(text + "\n")
	}
	o := kafka.Options{Brokers: []string{"127.0.0.1:" + f.kafka}}
	card, err := models.ReadEncoderCard(filepath.Join(os.Getenv("JOBSTROM_NATIVE"), models.DefaultEncoder))
	must(t, err)
	// Follow until the records that the classified topic had when we began have passed in every topic.
	for _, topic := range []string{kafka.Extracted, kafka.Embedded(card.ID), kafka.Classified, kafka.Labels} {
		seen := map[string]bool{}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		must(t, consumers.Follow(ctx, consumers.FollowOptions{Kafka: o, Topics: []string{topic}, FromStart: true}, func(r *kgo.Record) (bool, error) {
			id := string(r.Key)
			add(id, string(r.Value))
			for _, h := range r.Headers {
				add(id, string(h.Value))
			}
			if strings.HasPrefix(id, "sample-") || strings.HasPrefix(id, "unseen-") {
				seen[id] = true
			}
			return len(seen) < 440, nil
		}))
		cancel()
		if len(seen) != 440 {
			t.Fatalf("%s holds %d of 440 samples", topic, len(seen))
		}
	}
	// Views with parameters say what other views do.
	for _, table := range strings.Fields(f.ask("SELECT name FROM system.tables WHERE database = 'jobstrom' AND empty(parameterized_view_parameters)")) {
		rows := bufio.NewScanner(strings.NewReader(f.ask("SELECT * FROM jobstrom." + table + " FORMAT JSONEachRow")))
		rows.Buffer(nil, 16<<20)
		for rows.Scan() {
			var row struct {
				ID string `json:"vacancy_id"`
			}
			_ = json.Unmarshal(rows.Bytes(), &row)
			if row.ID == "" {
				everything.Write(rows.Bytes())
			}
			add(row.ID, rows.Text())
		}
	}
	var all strings.Builder
	all.WriteString(everything.String())
	for _, text := range ofVacancy {
		all.WriteString(text.String())
	}
	plantedByKind, found := map[string]int{}, map[string]int{}
	for _, name := range []string{"../samples/planted-vacancies.jsonl", "../samples/planted-unseen.jsonl"} {
		text, err := os.ReadFile(name)
		must(t, err)
		for line := range strings.Lines(string(text)) {
			var p planted
			must(t, json.Unmarshal([]byte(line), &p))
			plantedByKind[p.Kind]++
			// A name or a street may be another vacancy's word; numbers and addresses of the net are nobody else's.
			where := all.String()
			if p.Kind == "name" || p.Kind == "address" {
				where = ofVacancy[p.ID].String() + everything.String()
				p.Text, _, _ = strings.Cut(p.Text, ",") // the street stands for the address
			}
			if containsWord(where, p.Text) {
				found[p.Kind]++
				t.Logf("found a planted %s of %s", p.Kind, p.ID)
			}
		}
	}
	for kind, n := range plantedByKind {
		share := float64(found[kind]) / float64(n)
		t.Logf("%s: %d found of %d planted (%.2f %%)", kind, found[kind], n, 100*share)
		limit := 0.0
		if kind == "name" || kind == "address" {
			limit = .02
		}
		if share > limit {
			t.Errorf("%s: %.2f %% found, at most %.0f %% may be", kind, 100*share, 100*limit)
		}
	}
}

// containsWord finds a text that is not part of a longer word, nor the fraction of a decimal: some of 170,000 embedded values end in
// the digits of a phone.
func containsWord(text, word string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(word):])
		fraction := before == '.' && i > 1 && unicode.IsDigit(rune(text[i-2]))
		if !unicode.IsLetter(before) && !unicode.IsDigit(before) && !unicode.IsLetter(after) && !unicode.IsDigit(after) && !fraction {
			return true
		}
		from = i + len(word)
	}
}

// The search must be able to find: it is what the privacy figures rest on.
func TestContainsWord(t *testing.T) {
	f := func(text, word string, want bool) {
		t.Helper()
		if containsWord(text, word) != want {
			t.Fatalf("%q in %q: want %t", word, text, want)
		}
	}
	f("ring til Bo i dag", "Bo", true)
	f("en Bolig, Bo", "Bo", true)
	f("en Bolig", "Bo", false)
	f(`"22 31 44 56"`, "22 31 44 56", true)
	f("122 31 44 56", "22 31 44 56", false)
	f("tlf.22314456.", "22314456", true)
	f("[0.22314456,1]", "22314456", false)
}
