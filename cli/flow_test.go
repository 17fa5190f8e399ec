package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/schemas"
)

// flowUnderTest is a jobstrom up in a process of its own, on ports of its own.
type flowUnderTest struct {
	t                         *testing.T
	dir                       string // the README's working directory
	kafka, native, clickhouse string // ports
	web, prometheus           string // ports; the latter's of monitoring
	log                       *lockedBuffer
}

// lockedBuffer collects a process's output while tests read it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// freePorts returns ports that nobody listens on, below those that the system gives to connections: one of these could be taken by any connection of another test
// before the process under test listens on it.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for tries := 0; len(ports) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_240+rand.IntN(20_000)))
		if err != nil {
			if tries > 1000 {
				t.Fatal(err)
			}
			continue
		}
		defer l.Close() // all are held until all are chosen
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// clone lets commands of the documents find in dir what a clone has: bin/jobstrom, samples/, producers/testdata and kcat.
func clone(t *testing.T, dir string) {
	t.Helper()
	root, err := filepath.Abs("..")
	must(t, err)
	nativeDir, err := models.NativeDir()
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	t.Setenv("JOBSTROM_NATIVE", nativeDir)
	t.Setenv("PATH", filepath.Join(nativeDir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	must(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "bin", "jobstrom"), fmt.Appendf(nil, "#!/bin/sh\nJOBSTROM_TEST_MAIN=1 exec %s \"$@\"\n", self), 0o755))
	for _, folder := range []string{"samples", "producers"} {
		must(t, os.Symlink(filepath.Join(root, folder), filepath.Join(dir, folder)))
	}
}

// startFlow runs jobstrom up and waits until it is ready, with the embedded Kafka where no broker is given. It must drain and end with status 0 on SIGTERM.
func startFlow(t *testing.T, broker string) *flowUnderTest {
	t.Helper()
	ports := freePorts(t, 4)
	f := &flowUnderTest{t: t, dir: t.TempDir(), kafka: ports[0], native: ports[1], clickhouse: ports[2], web: ports[3], log: &lockedBuffer{}}
	if broker != "" {
		t.Setenv("JOBSTROM_BROKERS", broker)
		_, f.kafka, _ = net.SplitHostPort(broker)
	}
	for name, value := range map[string]string{"KAFKA_PORT": f.kafka, "CLICKHOUSE_PORT": f.native, "CLICKHOUSE_HTTP_PORT": f.clickhouse, "HTTP": "127.0.0.1:" + f.web, "DATA": filepath.Join(f.dir, "var"), "ATTRIBUTES": "erhvervsgruppe_txt"} {
		t.Setenv("JOBSTROM_"+name, value)
	}
	clone(t, f.dir)

	up := exec.Command(filepath.Join(f.dir, "bin", "jobstrom"), "up", "--log-level", "info")
	up.Dir, up.Stdout, up.Stderr = f.dir, f.log, f.log
	must(t, up.Start())
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	t.Cleanup(func() {
		_ = up.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("jobstrom up ended with %v:\n%s", err, f.log)
			}
		case <-time.After(2 * time.Minute):
			_ = up.Process.Kill()
			t.Errorf("jobstrom up did not end in 2 minutes after SIGTERM:\n%s", f.log)
		}
	})
	f.until("the flow is ready", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("jobstrom up ended with %v:\n%s", err, f.log)
		default:
		}
		response, err := http.Get("http://127.0.0.1:" + f.web + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until polls a condition.
func (f *flowUnderTest) until(what string, condition func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); !condition(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("waited 4 minutes until %s; the flow's log:\n%s", what, f.log)
		}
	}
}

// shell runs a command of the README, with this flow's ports for the default ones.
func (f *flowUnderTest) shell(command string) string {
	f.t.Helper()
	command = strings.NewReplacer("127.0.0.1:9092", "127.0.0.1:"+f.kafka, "localhost:8123", "127.0.0.1:"+f.clickhouse, "127.0.0.1:8080", "127.0.0.1:"+f.web, "127.0.0.1:9090", "127.0.0.1:"+f.prometheus).Replace(command)
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command)
	cmd.Dir = f.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("%s\n%v\n%s%s", command, err, out, &stderr)
	}
	return string(out)
}

// ask queries ClickHouse over HTTP.
func (f *flowUnderTest) ask(query string) string {
	f.t.Helper()
	response, err := http.Post("http://127.0.0.1:"+f.clickhouse+"/", "text/plain", strings.NewReader(query))
	must(f.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(f.t, err)
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %s", query, body)
	}
	return strings.TrimSpace(string(body))
}

// readmeCommands returns the shell blocks of the README, without the two make commands.
func readmeCommands(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(shellBlocks(t, "../README.md"), func(block string) bool {
		return strings.HasPrefix(block, "make ") // make demo is TestDemo, make test is what runs this
	})
}

// shellBlocks returns the shell blocks of a document.
func shellBlocks(t *testing.T, file string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

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

// containsWord finds a text that is not part of a longer word.
func containsWord(text, word string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(word):])
		if !unicode.IsLetter(before) && !unicode.IsDigit(before) && !unicode.IsLetter(after) && !unicode.IsDigit(after) {
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
