package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"jobstrom/cluster/clustertest"
	"jobstrom/schemas"
)

// One flow serves these tests in turn: the README's commands, an outside client, privacy, and the hot swap of a trained classifier.
func TestFlow(t *testing.T) {
	if _, err := exec.LookPath("kcat"); err != nil {
		if _, err := os.Stat("../.native/bin/kcat"); err != nil {
			t.Fatal("kcat is missing: make test fetches it where apt-get is; else install it")
		}
	}
	for _, b := range clustertest.Brokers(t) {
		t.Run(b.Name, func(t *testing.T) {
			broker := "" // jobstrom up has its own kfake
			if b.Name != "kfake" {
				broker = b.Start(t)[0]
			}
			testFlow(t, broker)
		})
	}
}

func testFlow(t *testing.T, broker string) {
	f := startFlow(t, broker)
	t.Run("outside client", func(t *testing.T) { f.outsideClient(t) })
	t.Run("README", func(t *testing.T) {
		f.t = t
		commands := readmeCommands(t)
		if len(commands) < 8 {
			t.Fatalf("the README has %d commands", len(commands))
		}
		for _, command := range commands {
			if strings.Contains(command, "deadletter show") {
				f.until("the letter of the README is there", func() bool {
					return strings.Contains(f.shell("bin/jobstrom deadletter list --format json"), "nothing_extracted")
				})
			}
			if strings.Contains(command, "drift") {
				f.until("the vacancies are in ClickHouse", func() bool { return f.ask("SELECT count() >= 440 FROM jobstrom.predictions") == "1" })
			}
			if strings.Contains(command, "train") {
				// 440 by their publisher, one by feedback.
				f.until("labelled history is in ClickHouse", func() bool { return f.ask("SELECT count() FROM jobstrom.history") == "441" })
			}
			if strings.Contains(command, "--verify") {
				f.until("the tombstones of all raw, label and API partitions are carried out", func() bool {
					return f.ask("SELECT (SELECT count() FROM jobstrom.erasures WHERE vacancy_id = 'tavle-1'), (SELECT count() FROM jobstrom.prediction_rows WHERE vacancy_id = 'tavle-1')") == "12\t0"
				})
			}
			if strings.Contains(command, "--verify") { // the last rows go after those of the predictions
				f.until("nothing is left", func() bool {
					return f.shell("bin/jobstrom erase --verify tavle-1 >/dev/null 2>&1 && echo gone || true") == "gone\n"
				})
			}
			if out := f.shell(command); strings.TrimSpace(out) == "" && !strings.Contains(command, "-P") {
				t.Errorf("%s\nprinted nothing", command)
			}
		}
	})
	t.Run("replay", func(t *testing.T) {
		f.t = t
		// The README's replay changes nothing about the record, so it is refused again.
		f.until("the replayed record is refused again", func() bool {
			return f.ask("SELECT groupArray((replays, replayed_at IS NULL)) FROM (SELECT * FROM jobstrom.dead_letters ORDER BY replays)") == "[(0,0),(1,1)]"
		})
		out := f.shell("bin/jobstrom deadletter list --state waiting --format json | tail -1")
		if !strings.Contains(out, `"replays":1`) || !strings.Contains(out, `"state":"waiting"`) {
			t.Errorf("the list says %s", out)
		}
	})
	t.Run("hot swap", func(t *testing.T) { f.hotSwap(t) })
	t.Run("reprocess", func(t *testing.T) { f.reprocess(t) })
	t.Run("bad records", func(t *testing.T) { f.badRecords(t) })
	t.Run("privacy", func(t *testing.T) { f.privacy(t) })
	t.Run("history", func(t *testing.T) { f.history(t) })
	t.Run("watch", func(t *testing.T) { f.watch(t) })
	t.Run("metrics", func(t *testing.T) { f.metrics(t) })
	t.Run("monitoring", func(t *testing.T) { f.monitoring(t) })
	t.Run("killed ClickHouse", func(t *testing.T) { f.killedClickHouse(t) })
}

// kcat knows nothing of us: it publishes a vacancy as JSON without a key or header, and reads its classification; curl counts it.
func (f *flowUnderTest) outsideClient(t *testing.T) {
	f.t = t
	f.shell(`echo '{"id":"outside","text":"Vi søger en sygeplejerske til akutmodtagelsen. Du skal pleje patienter og måle blodtryk."}' | kcat -P -b 127.0.0.1:9092 -t vacancies.raw`)
	var got *schemas.Classification
	f.until("kcat reads the classification", func() bool {
		out := f.shell(`kcat -C -b 127.0.0.1:9092 -t vacancies.classified -X isolation.level=read_committed -o beginning -e -q`)
		for line := range strings.Lines(out) {
			c := &schemas.Classification{}
			must(t, schemas.Decode(schemas.JSON, []byte(line), c))
			if c.Id == "outside" {
				got = c
				return true
			}
		}
		return false
	})
	sum := 0.0
	for _, p := range got.Probabilities {
		sum += float64(p)
	}
	if got.Category != "Sundhed, omsorg og personlig pleje" || got.CategoryIndex != 16 || len(got.Probabilities) != 22 || sum < .999 || sum > 1.001 || got.Model == "" || got.Encoder == "" || got.ClassifiedAt == nil {
		t.Fatalf("got %v", got)
	}
	f.until("ClickHouse counts it", func() bool {
		return f.shell(`curl -s 'http://localhost:8123/?query=SELECT+count()+FROM+jobstrom.predictions+WHERE+vacancy_id=%27outside%27'`) == "1\n"
	})
}

// hotSwap trains and promotes: the flow answers with the trained classifier without a restart.
func (f *flowUnderTest) hotSwap(t *testing.T) {
	f.t = t
	f.shell("bin/jobstrom train --promote always")
	trained := f.ask("SELECT model FROM jobstrom.training_runs WHERE published ORDER BY finished_at DESC LIMIT 1")
	if len(trained) != 64 {
		t.Fatalf("ClickHouse names the model %q", trained)
	}
	reported := strings.TrimSpace(f.shell(`grep -m1 '"model"' var/training/report.json | cut -d'"' -f4`))
	if page := f.shell("cat var/training/report.html"); len(reported) != 64 || !strings.Contains(page, reported) || strings.Contains(page, "<script") {
		t.Errorf("the page of %d bytes is not that of %q", len(page), reported)
	}
	if got := f.ask("SELECT metrics['int8_bytes'] < metrics['plain_bytes'], metrics['macro_f1_low'] <= metrics['macro_f1'] FROM jobstrom.training_runs WHERE model = '" + reported + "' LIMIT 1"); got != "1\t1" {
		t.Errorf("ClickHouse says %q of its variants and intervals", got)
	}
	f.until("ClickHouse says who is live", func() bool {
		return f.ask("SELECT model FROM jobstrom.champions WHERE live_until > now()") == trained
	})
	finished := f.ask("SELECT toUnixTimestamp(trained_at) FROM jobstrom.models WHERE model = '" + trained + "'")
	f.until("the metrics say when the classifier in use was trained, and only of that", func() bool {
		_, text := get("http://127.0.0.1:" + f.web + "/metrics")
		ages := regexp.MustCompile(`(?m)^jobstrom_classifier_trained_timestamp_seconds\{classifier="(\w+)"\} (\S+)$`).FindAllStringSubmatch(text, -1)
		if len(ages) != 1 || ages[0][1] != trained {
			return false
		}
		at, err := strconv.ParseFloat(ages[0][2], 64)
		return err == nil && strconv.Itoa(int(at)) == finished
	})
	n := 0
	f.until("a vacancy is classified by the trained classifier", func() bool {
		n++
		id := fmt.Sprintf("swap-%d", n)
		f.shell(fmt.Sprintf(`echo '{"id":"%s","text":"Vi søger en kok til vores restaurant. Du skal lave mad."}' | bin/jobstrom produce -`, id))
		f.until("it is classified", func() bool {
			return f.ask("SELECT count() FROM jobstrom.predictions WHERE vacancy_id = '"+id+"'") == "1"
		})
		return f.ask("SELECT model FROM jobstrom.predictions WHERE vacancy_id = '"+id+"'") == trained
	})
}

// reprocess runs all of history again from its two ends: the same classifier gives the same answers, wherever it begins, and consumers see none of it.
func (f *flowUnderTest) reprocess(t *testing.T) {
	f.t = t
	live := f.ask("SELECT count(), sum(cityHash64(toString(tuple(*)))) FROM jobstrom.predictions")
	// Sorted: in which order a client reads the partitions is its own affair.
	classified := f.shell(`kcat -C -b 127.0.0.1:9092 -t vacancies.classified -X isolation.level=read_committed -o beginning -e -q | sort | sha256sum`)
	for _, from := range []string{"embedded", "raw"} {
		var got struct{ Classified, Compared int }
		must(t, json.Unmarshal([]byte(f.shell("bin/jobstrom reprocess --from "+from+" --name again-"+from+" --format json")), &got))
		if n := f.ask("SELECT count() FROM jobstrom.embeddings"); fmt.Sprint(got.Classified) != n || got.Compared != got.Classified {
			t.Errorf("from %s: %+v of %s", from, got, n)
		}
	}
	// A vector differs in its last bits with the batch it was made in.
	if got := f.ask(`SELECT uniqExact(n), max(categories), max(spread) < 1e-4 FROM
		(SELECT count() AS n, uniqExact(category, model) AS categories, max(confidence) - min(confidence) AS spread
		FROM jobstrom.shadow_predictions WHERE name LIKE 'again-%' GROUP BY raw_topic_id, raw_partition, raw_offset)`); got != "1\t1\t1" {
		t.Errorf("the reprocessings differ: %s", got)
	}
	if now := f.ask("SELECT count(), sum(cityHash64(toString(tuple(*)))) FROM jobstrom.predictions"); now != live {
		t.Errorf("the live predictions were %s, are %s", live, now)
	}
	if now := f.shell(`kcat -C -b 127.0.0.1:9092 -t vacancies.classified -X isolation.level=read_committed -o beginning -e -q | sort | sha256sum`); now != classified {
		t.Error("the classified topic has changed")
	}
}

// badRecords publishes what is no vacancy: each lies whole on the dead letters, and what comes after is classified.
func (f *flowUnderTest) badRecords(t *testing.T) {
	f.t = t
	before := f.ask("SELECT now64(3)")
	f.shell(`printf '%s\n' 'nonsense' '{"text":""}' '{"text":"?"}' '{"id":"after","text":"Vi søger en elektriker til nybyggeri."}' | kcat -P -b 127.0.0.1:9092 -t vacancies.raw -p 0`)
	f.until("the vacancy after them is classified", func() bool {
		return f.ask("SELECT count() FROM jobstrom.predictions WHERE vacancy_id = 'after'") == "1"
	})
	f.until("three dead letters are counted", func() bool {
		return f.ask("SELECT count() FROM jobstrom.dead_letters WHERE failed_at > '"+before+"'") == "3"
	})
	if got := f.ask("SELECT class, count() FROM jobstrom.dead_letters WHERE failed_at > '" + before + "' GROUP BY class ORDER BY class FORMAT CSV"); got != "\"malformed\",2\n\"nothing_extracted\",1" {
		t.Fatalf("got %s", got)
	}
}

func TestDemo(t *testing.T) {
	ports := freePorts(t, 3)
	status, out, errOut := jobstrom(t, "", "demo", "--once", "--data", t.TempDir(), "--kafka-port", "0", "--clickhouse-port", ports[0], "--clickhouse-http-port", ports[1], "--http", "127.0.0.1:"+ports[2])
	if status != 0 {
		t.Fatalf("status %d: %s", status, errOut)
	}
	for _, want := range []string{"web page    http://127.0.0.1:" + ports[2], "440 classified, 0 dead letters", "accuracy on 110 unseen vacancies", "embeddings 440", "predictions 440"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not say %q:\n%s", want, out)
		}
	}
	if n := strings.Count(out, " %  "); n != 440 {
		t.Errorf("the live table has %d rows, want 440", n)
	}
}
