package cli

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jobstrom/cluster/clustertest"
	"jobstrom/telemetry/telemetrytest"
)

// tracedFlow is a flow whose spans a collector takes.
type tracedFlow struct {
	*flowUnderTest
	receiver *telemetrytest.Receiver
	traces   int
}

// traceparent makes the header of a new trace that somebody else began.
func (f *tracedFlow) traceparent(kept bool) (header, id string) {
	f.traces++
	id = fmt.Sprintf("%032x", 0xabcdef0000+f.traces)
	flags := "00"
	if kept {
		flags = "01"
	}
	return "00-" + id + "-00f067aa0ba902b7-" + flags, id
}

// spans returns those of a trace.
func (f *tracedFlow) spans(id string) []telemetrytest.Span {
	return slices.DeleteFunc(f.receiver.Spans(), func(s telemetrytest.Span) bool { return s.Trace != id })
}

// tree waits until a trace has these spans, each named by its path from the trace's first: publish/extract/embed; sink twice is of two records.
func (f *tracedFlow) tree(id string, want ...string) map[string]telemetrytest.Span {
	f.t.Helper()
	slices.Sort(want)
	var got []string
	var paths map[string]telemetrytest.Span
	defer func() {
		if f.t.Failed() {
			f.t.Logf("trace %s has %q, want %q", id, got, want)
		}
	}()
	f.until("the spans of trace "+id+" are there", func() bool {
		got, paths = nil, map[string]telemetrytest.Span{}
		byID := map[string]telemetrytest.Span{}
		for _, s := range f.spans(id) {
			byID[s.ID] = s
		}
		for _, s := range byID {
			if again(s) {
				continue
			}
			path := s.Name
			for parent, known := byID[s.Parent]; known; parent, known = byID[parent.Parent] {
				path = parent.Name + "/" + path
			}
			got, paths[path] = append(got, path), s
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
	return paths
}

// again tells whether a record was read again after this span: a rebalance, as after the start, left it to another worker, or a busy machine let the batch's transaction end.
func again(s telemetrytest.Span) bool {
	return s.Attributes["jobstrom.verdict"] == "moved" || s.Attributes["jobstrom.verdict"] == "failed"
}

// wholeFlow is what a published vacancy makes.
var wholeFlow = []string{"publish", "publish/extract", "publish/extract/embed", "publish/extract/embed/sink", "publish/extract/embed/classify", "publish/extract/embed/classify/sink"}

func under(first string, paths []string) []string {
	all := []string{first}
	for _, p := range paths {
		all = append(all, first+"/"+p)
	}
	return all
}

// published publishes a vacancy by the command and returns its trace's id.
func (f *tracedFlow) published(id string) string {
	f.t.Helper()
	f.shell(fmt.Sprintf(`echo '{"id":"%s","text":"Vi søger en kok til vores restaurant. Du skal lave mad."}' | bin/jobstrom produce -`, id))
	var found string
	f.until("the vacancy's publication is a span", func() bool {
		for _, s := range f.receiver.Spans() {
			if s.Name == "publish" && s.Attributes["jobstrom.vacancy.id"] == id {
				found = s.Trace
			}
		}
		return found != ""
	})
	return found
}

// One flow with a collector: a vacancy is one trace from its publication to ClickHouse, whoever publishes it; and nothing that a vacancy says is in it.
func TestTraces(t *testing.T) {
	for _, b := range clustertest.Brokers(t) {
		t.Run(b.Name, func(t *testing.T) {
			broker := ""
			if b.Name != "kfake" {
				broker = b.Start(t)[0]
			}
			receiver := telemetrytest.Start(t)
			t.Setenv("JOBSTROM_OTLP_ENDPOINT", receiver.URL())
			f := &tracedFlow{flowUnderTest: startFlow(t, broker), receiver: receiver}
			run := func(name string, test func()) {
				t.Run(name, func(t *testing.T) {
					f.t = t
					test()
				})
			}
			run("produce", f.tracesPublication)
			run("HTTP", f.tracesRequests)
			run("not kept", f.keepsNoMore)
			run("tampered", f.mindsNoTampering)
			run("dead letter", f.tracesDeadLetters)
			run("logs", f.logsNothingPerRecord)
			run("collector away", f.goesOnWithoutCollector)
			run("privacy", f.showsNobody)
		})
	}
}

func (f *tracedFlow) tracesPublication() {
	paths := f.tree(f.published("traced"), wholeFlow...)
	encoder, model := "", ""
	for path, s := range paths {
		if s.Attributes["jobstrom.vacancy.id"] != "traced" || s.Failed || s.Attributes["messaging.kafka.offset"] == "" || s.Attributes["messaging.destination.partition.id"] == "" {
			f.t.Errorf("%s: got %+v", path, s)
		}
		want := map[string]string{"publish": "vacancies.raw", "extract": "vacancies.raw", "embed": "vacancies.extracted", "classify": "vacancies.embedded."}[s.Name]
		if s.Name == "sink" {
			want = map[bool]string{true: "vacancies.classified", false: "vacancies.embedded."}[strings.Contains(path, "classify")]
		}
		if !strings.HasPrefix(s.Attributes["messaging.destination.name"], want) {
			f.t.Errorf("%s is of %s", path, s.Attributes["messaging.destination.name"])
		}
		verdict, service := "answered", "jobstrom-up"
		switch s.Name {
		case "publish":
			verdict, service = "", "jobstrom-produce"
		case "sink":
			verdict = "stored"
		case "embed":
			encoder = s.Attributes["jobstrom.encoder"]
		case "classify":
			model = s.Attributes["jobstrom.model"]
		}
		if s.Attributes["jobstrom.verdict"] != verdict || s.Service != service || s.End.Before(s.Start) {
			f.t.Errorf("%s: got %+v", path, s)
		}
	}
	if got := f.ask("SELECT encoder, model FROM jobstrom.predictions WHERE vacancy_id = 'traced'"); got != encoder+"\t"+model {
		f.t.Errorf("ClickHouse says %q, the spans %s and %s", got, encoder, model)
	}
	f.until("the transactions' spans link to the records'", func() bool {
		linked := map[string]bool{}
		for _, s := range f.receiver.Spans() {
			for path, of := range paths {
				if slices.Contains(s.Links, of.ID) {
					linked[path+": "+s.Name] = true
				}
			}
		}
		return linked["publish/extract: extract transaction"] && linked["publish/extract/embed: embed transaction"] && linked["publish/extract/embed/classify: classify transaction"] &&
			linked["publish/extract/embed/classify/sink: sink insert"] && linked["publish/extract/embed/sink: sink insert"]
	})
}

// post asks the API within a trace.
func (f *tracedFlow) post(path, body, traceparent string) {
	f.t.Helper()
	request, err := http.NewRequest("POST", "http://127.0.0.1:"+f.web+path, strings.NewReader(body))
	must(f.t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("traceparent", traceparent)
	request.Header.Set("tracestate", "cpr=0101904321")
	request.Header.Set("baggage", "mail=planted@example.dk")
	response, err := http.DefaultClient.Do(request)
	must(f.t, err)
	response.Body.Close()
	if response.StatusCode/100 != 2 {
		f.t.Fatalf("%s is answered with %s", path, response.Status)
	}
}

func (f *tracedFlow) tracesRequests() {
	header, id := f.traceparent(true)
	f.post("/v1/vacancies", `{"id":"posted","text":"Vi søger en murer til facader i Odense."}`, header)
	paths := f.tree(id, under("POST /v1/vacancies", wholeFlow)...)
	if s := paths["POST /v1/vacancies"]; s.Parent != "00f067aa0ba902b7" || s.Attributes["http.response.status_code"] != "202" || s.Attributes["jobstrom.request.id"] == "" {
		f.t.Errorf("got %+v", s)
	}
	header, id = f.traceparent(true)
	f.post("/v1/classify", `{"text":"Vi søger en sygeplejerske til nattevagter."}`, header)
	paths = f.tree(id, under("POST /v1/classify", []string{"extract", "embed", "embed/queue", "classify"})...)
	embed, queue := paths["POST /v1/classify/embed"], paths["POST /v1/classify/embed/queue"]
	if queue.Start.Before(embed.Start) || queue.End.After(embed.End) || paths["POST /v1/classify/classify"].Attributes["jobstrom.model"] == "" {
		f.t.Errorf("got %+v", paths)
	}
}

// keepsNoMore publishes in a trace that is not kept; when a later vacancy of the same partitions has all of its spans, the earlier would have, too.
func (f *tracedFlow) keepsNoMore() {
	header, id := f.traceparent(false)
	f.post("/v1/vacancies", `{"id":"not-kept","text":"Vi søger en gartner til parken."}`, header)
	f.until("it is classified", func() bool {
		return f.ask("SELECT count() FROM jobstrom.predictions WHERE vacancy_id = 'not-kept'") == "1"
	})
	f.tree(f.published("kept"), wholeFlow...)
	for _, s := range f.receiver.Spans() {
		if s.Trace == id || s.Attributes["jobstrom.vacancy.id"] == "not-kept" {
			f.t.Errorf("got %+v", s)
		}
	}
	// What is on the topics says so, too: nobody draws again.
	if out := f.shell(`kcat -C -b 127.0.0.1:9092 -t vacancies.classified -X isolation.level=read_committed -o beginning -e -q -f '%k %h\n' | grep '^not-kept '`); !strings.Contains(out, "traceparent=00-"+id) || !strings.Contains(out, "-00") {
		f.t.Errorf("the classification has the headers %s", out)
	}
}

func (f *tracedFlow) mindsNoTampering() {
	for i, header := range []string{"x", "00-zz", strings.Repeat("a", 50_000), "00-" + strings.Repeat("0", 32) + "-" + strings.Repeat("0", 16) + "-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} {
		id := "tampered-" + strconv.Itoa(i)
		f.shell(fmt.Sprintf(`echo '{"id":"%s","text":"Vi søger en chauffør til lastbil."}' | kcat -P -b 127.0.0.1:9092 -t vacancies.raw -H traceparent=%s -H tracestate=cpr=0101904321`, id, header))
		f.until("it is classified", func() bool {
			return f.ask("SELECT count() FROM jobstrom.predictions WHERE vacancy_id = '"+id+"'") == "1"
		})
		var trace string
		f.until("it has a trace of its own", func() bool {
			for _, s := range f.receiver.Spans() {
				if s.Name == "extract" && s.Parent == "" && s.Attributes["jobstrom.vacancy.id"] == id {
					trace = s.Trace
				}
			}
			return trace != ""
		})
		f.tree(trace, "extract", "extract/embed", "extract/embed/sink", "extract/embed/classify", "extract/embed/classify/sink")
	}
}

func (f *tracedFlow) tracesDeadLetters() {
	header, id := f.traceparent(true)
	f.shell(`echo '{"id":"refused","text":"CPR 010190-4321","category":17}' | kcat -P -b 127.0.0.1:9092 -t vacancies.raw -H traceparent=` + header)
	paths := f.tree(id, "extract", "extract/sink")
	if s := paths["extract"]; !s.Failed || s.Attributes["jobstrom.verdict"] != "malformed" || s.Attributes["jobstrom.vacancy.id"] != "refused" || s.Parent != "00f067aa0ba902b7" {
		f.t.Errorf("got %+v", s)
	}
	if !regexp.MustCompile(`(?m)dead letter.* vacancy=refused trace=` + id).MatchString(f.log.String()) {
		f.t.Errorf("the log does not name the vacancy and its trace:\n%s", f.log)
	}
	// Sent again it belongs to the same trace.
	f.shell("bin/jobstrom deadletter replay --stage extract --yes")
	f.until("it is refused again, in its trace", func() bool {
		records := map[string]bool{}
		for _, s := range f.spans(id) {
			if s.Name == "extract" && s.Parent == "00f067aa0ba902b7" && !again(s) {
				records[s.Attributes["messaging.kafka.offset"]] = true
			}
		}
		return len(records) == 2
	})
}

// logsNothingPerRecord publishes more and more: the log at level info does not grow.
func (f *tracedFlow) logsNothingPerRecord() {
	lines := func() int { return strings.Count(f.log.String(), "\n") }
	before := lines()
	f.shell("bin/jobstrom produce samples/unseen.jsonl")
	f.until("110 vacancies are in ClickHouse", func() bool {
		return f.ask("SELECT uniqExact(vacancy_id) FROM jobstrom.predictions WHERE vacancy_id LIKE 'unseen-%'") == "110"
	})
	if grown := lines() - before; grown > 10 {
		f.t.Errorf("110 vacancies made %d lines:\n%s", grown, f.log)
	}
}

func (f *tracedFlow) goesOnWithoutCollector() {
	f.receiver.Answer(http.StatusBadRequest)
	f.shell(`echo '{"id":"unseen-by-anyone","text":"Vi søger en lærer til 4. klasse."}' | bin/jobstrom produce -`)
	f.until("it is classified", func() bool {
		return f.ask("SELECT count() FROM jobstrom.predictions WHERE vacancy_id = 'unseen-by-anyone'") == "1"
	})
	f.until("the metrics count what is dropped", func() bool {
		_, text := get("http://127.0.0.1:" + f.web + "/metrics")
		dropped := regexp.MustCompile(`(?m)^jobstrom_trace_spans_total\{outcome="dropped"\} (\S+)$`).FindStringSubmatch(text)
		return dropped != nil && dropped[1] != "0"
	})
	f.until("it is said", func() bool { return strings.Contains(f.log.String(), "spans are dropped") })
	if n := strings.Count(f.log.String(), "spans are dropped"); n != 1 {
		f.t.Errorf("it is said %d times:\n%s", n, f.log)
	}
	f.receiver.Answer(http.StatusOK)
	f.tree(f.published("seen-again"), wholeFlow...)
}

// showsNobody plants personal data wherever somebody could write it, and looks for it in every span and in the log.
func (f *tracedFlow) showsNobody() {
	const planted = `Ring til Planta Plantesen på 20 30 40 50 eller skriv til planta@example.dk, CPR 020280-1234. Hun bor på Plantevej 17.`
	header, _ := f.traceparent(true)
	body := fmt.Sprintf(`{"id":"planted","title":"Kok","employer":"Plantesen ApS","url":"https://example.dk/planta","text":"Vi søger en kok. %s"}`, planted)
	f.post("/v1/vacancies", body, header)
	f.post("/v1/classify", `{"text":"Vi søger en kok. `+planted+`"}`, header)
	for _, broken := range []string{planted, `{"id":"planted-2","text":17,"title":"` + planted + `"}`, `{"id":"planted-3","text":"` + planted + `","published_at":"` + planted + `"}`} {
		f.shell(fmt.Sprintf(`echo '%s' | kcat -P -b 127.0.0.1:9092 -t vacancies.raw -k 'Planta Plantesen' -H traceparent=%s -H 'tracestate=planta=0202801234' -H 'baggage=planta@example.dk'`, broken, header))
	}
	f.until("the broken ones are dead letters", func() bool {
		return f.ask("SELECT count() FROM jobstrom.dead_letters WHERE stage = 'extract'") == "5" // with the one that was sent again
	})
	f.tree(f.published("after-planted"), wholeFlow...)
	// Times and the IDs of traces hold any digits by chance.
	chance := regexp.MustCompile(`_unix_nano: *\d+|trace=[0-9a-f]{32}`)
	for what, text := range map[string]string{"a span": f.receiver.Text(), "the log": f.log.String()} {
		text = chance.ReplaceAllString(text, "")
		for _, word := range []string{"Planta", "planta@", "20304050", "20 30 40 50", "020280", "0202801234", "0101904321", "Plantevej", "Plantesen", "planted@", "Vi søger"} {
			if strings.Contains(text, word) {
				f.t.Errorf("%s shows %q", what, word)
			}
		}
	}
}
