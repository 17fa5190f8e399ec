package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/schemas"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// eachLetterBroker runs a test on each kind of broker, with the flags that name it and four letters, of which the last has been replayed too often.
func eachLetterBroker(t *testing.T, test func(t *testing.T, broker []string)) {
	t.Helper()
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		writeLetters(t, addrs)
		test(t, []string{"--brokers", strings.Join(addrs, ",")})
	})
}

func writeLetters(t *testing.T, addrs []string) {
	t.Helper()
	client, err := kafka.NewClient(kafka.Options{Brokers: addrs}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	defer client.Close()
	must(t, kafka.EnsureTopics(t.Context(), client, strings.Repeat("e", 64), kafka.Layout{Partitions: 2, Replication: 1}))
	for i, m := range []*schemas.DeadLetter{
		{Stage: "extract", Class: "malformed", Value: []byte(`{"id":"a","text":7}`), Key: []byte("a"), Headers: []*schemas.Header{{Name: "trace", Value: []byte("x\x1b[31m")}}},
		{Stage: "extract", Class: "nothing_extracted", Value: []byte("\xff\x00?"), Key: nil},
		{Stage: "classify", Class: "other_encoder", Model: "abcdef0123456789", Value: []byte{}, Topic: "vacancies.embedded.eeeeeeeeeeee"},
		{Stage: "extract", Class: "internal", Value: []byte("x"), Replays: 3},
	} {
		if m.Topic == "" {
			m.Topic = kafka.Raw
		}
		m.Reason, m.Version, m.Attempts, m.Offset, m.FailedAt = "because "+m.Class, "1.0", 1, int64(10+i), schemas.Time(noon.Add(time.Duration(i)*time.Hour))
		value, err := schemas.Encode(schemas.JSON, m)
		must(t, err)
		c := kafka.Coordinates{Topic: kafka.TopicID{7}, Offset: int64(10 + i), Time: noon}
		must(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.DeadLetter, Value: value, Headers: c.Headers(schemas.JSON)}).FirstErr())
	}
	must(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.DeadLetter, Partition: 1, Value: []byte("rubbish")}).FirstErr())
}

// has checks a command's status and what it says.
func has(t *testing.T, status int, out, errOut []string, args ...string) (said string) {
	t.Helper()
	got, o, e := jobstrom(t, "", args...)
	if got != status {
		t.Errorf("%v: status %d, want %d: %s%s", args, got, status, o, e)
	}
	for _, w := range out {
		if !strings.Contains(o, w) {
			t.Errorf("%v: stdout %q does not say %q", args, o, w)
		}
	}
	for _, w := range errOut {
		if !strings.Contains(e, w) {
			t.Errorf("%v: stderr %q does not say %q", args, e, w)
		}
	}
	return o
}

func TestDeadletterList(t *testing.T) {
	eachLetterBroker(t, func(t *testing.T, broker []string) {
		list := func(args ...string) (letters []string) {
			t.Helper()
			out := has(t, 0, nil, nil, append(append([]string{"deadletter", "list", "--format", "json"}, args...), broker...)...)
			for line := range strings.Lines(out) {
				var l letterLine
				must(t, json.Unmarshal([]byte(line), &l))
				letters = append(letters, l.Letter)
			}
			return letters
		}
		f := func(want string, args ...string) {
			t.Helper()
			if got := strings.Join(list(args...), " "); got != want {
				t.Errorf("%v: got %q, want %q", args, got, want)
			}
		}
		f("0/0 0/1 0/2 0/3")
		f("0/2 0/3", "--limit", "2")
		f("0/2", "--stage", "classify,embed")
		f("0/0 0/1", "--class", "malformed", "--class", "nothing_extracted")
		f("0/1 0/2", "--since", "2026-03-14T13:00:00Z", "--until", "2026-03-14 15:00:00")
		f("", "--since", "2h")
		f("0/2", "--model", "abcd")
		f("0/0 0/1 0/2 0/3", "--state", "waiting")
		f("", "--state", "replayed,erased")
		text := append([]string{"deadletter", "list", "--limit", "3"}, broker...)
		has(t, 0, []string{"0/1", "2026-03-14 13:00:00", "vacancies.raw/0/11", "abcdef012345 ", "other_encoder", "waiting"},
			[]string{"1 older letters are not shown", "1 records of vacancies.deadletter are no dead letters, the first at 1/0"}, text...)
		has(t, 0, []string{"no dead letters"}, nil, append(text, "--stage", "sink")...)
	})
}

func TestDeadletterShow(t *testing.T) {
	eachLetterBroker(t, func(t *testing.T, broker []string) {
		show := func(args ...string) []string {
			return append(append([]string{"deadletter", "show"}, args...), broker...)
		}
		has(t, 0, []string{"extract, jobstrom 1.0, after 1 attempts", "because malformed", "vacancies.raw, partition 0, offset 10", "header       trace: x\\x1b[31m", "{\n  \"id\": \"a\",\n  \"text\": 7\n}"}, nil, show("0/0")...)
		has(t, 0, []string{"key          (null)", "3 bytes\n\\xff\\x00?\n"}, nil, show("0/1")...)
		has(t, 0, []string{"0 bytes\n(empty)", "model        abcdef0123456789"}, nil, show("0/2")...)
		if out := has(t, 0, nil, nil, show("0/1", "--raw")...); out != "\xff\x00?" {
			t.Errorf("--raw wrote %q", out)
		}
		has(t, 0, []string{`"class":"malformed"`, `"value":"eyJ`}, nil, show("0/0", "--format", "json")...)
		has(t, 1, nil, []string{"there is none", "deadletter list"}, show("0/99")...)
		has(t, 2, nil, []string{"PARTITION/OFFSET"}, show("0")...)
		has(t, 2, nil, []string{"accepts 1 arg"}, show()...)
	})
}

func TestDeadletterReplay(t *testing.T) {
	eachLetterBroker(t, func(t *testing.T, broker []string) {
		replay := func(args ...string) []string {
			return append(append([]string{"deadletter", "replay"}, args...), broker...)
		}
		has(t, 3, []string{"dry run: replayed=3 skipped=0 (already replayed) refused=1 (loop guard 1)"}, []string{"letter 0/3 refused: loop guard", "some input was refused"}, replay("--dry-run")...)
		has(t, 2, nil, []string{"Send 1 dead letters again (vacancies.raw 1)?", "--yes"}, replay("0/0")...)
		has(t, 0, []string{"replayed=1 skipped=0 (already replayed) refused=0\n"}, nil, replay("0/0", "--yes")...)
		has(t, 0, []string{"replayed=1 skipped=1 (already replayed) refused=0\n"}, nil, replay("0/0", "0/1", "-y")...)
		has(t, 0, []string{"replayed=0 skipped=2"}, nil, replay("--class", "malformed,nothing_extracted", "-y")...)
		out := has(t, 3, nil, nil, replay("--yes", "--format", "json")...)
		var got struct {
			Replayed, Skipped, Refused int
			Topics, Reasons            map[string]int
		}
		must(t, json.Unmarshal([]byte(out), &got))
		if fmt.Sprint(got) != "{1 2 1 map[vacancies.embedded.eeeeeeeeeeee:1] map[loop guard:1]}" {
			t.Errorf("got %v", got)
		}
		has(t, 0, []string{"replayed=1"}, nil, replay("0/3", "--max-replays", "4", "--yes")...)
		has(t, 0, []string{"replayed=0 skipped=4"}, nil, replay()...) // nothing to ask about
		has(t, 1, nil, []string{"there is none at 0/99"}, replay("0/99", "--yes")...)
		list := has(t, 0, nil, nil, append([]string{"deadletter", "list", "--state", "replayed"}, broker...)...)
		if strings.Count(list, "replayed") != 4 {
			t.Errorf("the list says %s", list)
		}
	})
}

func TestDeadletterFlags(t *testing.T) {
	for _, c := range []struct {
		want string
		args []string
	}{
		{`--stage is "train": use one of [extract`, []string{"list", "--stage", "train"}},
		{`--class is "bad": use one of [malformed`, []string{"replay", "--class", "bad"}},
		{`--state is "lost"`, []string{"list", "--state", "lost"}},
		{`--since is "yesterday": use how long ago`, []string{"list", "--since", "yesterday"}},
		{"must be before --until", []string{"list", "--since", "1h", "--until", "2h"}},
		{"--limit is -1", []string{"list", "--limit", "-1"}},
		{"--max-replays is 0", []string{"replay", "--max-replays", "0"}},
		{"want PARTITION/OFFSET", []string{"replay", "seventeen"}},
		{`unknown command "delete"`, []string{"delete"}},
	} {
		has(t, 2, nil, []string{c.want}, append([]string{"deadletter"}, c.args...)...)
	}
	has(t, 1, nil, []string{"nothing listens there", "jobstrom up"}, "deadletter", "list", "--kafka-port", "1")
	for flag, want := range map[string]string{"--stage": "classify\n", "--class": "nothing_extracted\n", "--state": "waiting\n"} {
		has(t, 0, []string{want}, nil, "__complete", "deadletter", "list", flag, "")
	}
}

// The catalogue of classes stands in docs/architecture.md, for people who read a letter.
func TestErrorClassesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	must(t, err)
	_, catalogue, _ := strings.Cut(string(text), "The catalogue of classes:")
	catalogue, _, _ = strings.Cut(catalogue, "\n## ")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(catalogue, -1) {
		documented = append(documented, row[1])
	}
	if !slices.Equal(documented, consumers.Classes) {
		t.Errorf("docs/architecture.md lists %v, the code has %v", documented, consumers.Classes)
	}
}
