// Package chaos kills a flow's processes while vacancies stream through it, and then says of every vacancy what became of it: `make chaos`.
//
// A flow of real processes (three brokers of Apache Kafka, ClickHouse, several workers of each stage, the sink) gets numbered vacancies at a steady rate, while a plan
// dealt from a seed kills, pauses, adds and removes processes. At the end the check compares what Kafka acknowledged with
// the classified topic, the dead letters and ClickHouse's views, vacancy by vacancy, by their raw coordinates. The package promises that it counts what is lost, doubled or out of
// order, which its own tests hold it to: with workers that are not exactly-once it must find duplicates.
package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"jobstrom/cluster"
	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/pipeline/extract"
)

// How the flow is set up, and how often a run tells how far it is.
const (
	partitions         = 6
	transactionTimeout = 10 * time.Second
	reportEvery        = 10 * time.Second
	brokersTime        = 5 * time.Minute // on a machine that is busy with other work

	// modelLabel is the one that a model looks for: of a text with too little to extract, entities of several would repeat it until it is enough.
	modelLabel = "arbejdsopgaver"
)

// Report is what a run found.
type Report struct {
	Verdict
	// Kills that were done.
	Kills int
	// Unacknowledged vacancies were sent without an answer or with an error; Written are those of them that are on the raw topic none the less.
	Unacknowledged, Written int
	// Unasked counts processes that ended by themselves and were started again.
	Unasked int
	// Published and Drained are how long publishing took, and then everything up to the last commit.
	Published, Drained time.Duration
	Plan               []Fault
	ClickHouse         string // version
	// Done are the steps of an InTurn run, API what became of requests, Samples what was measured meanwhile.
	Done    []Done
	API     asked
	Samples []Sample
}

// run is a run in progress.
type run struct {
	Options
	log     *slog.Logger
	start   time.Time
	kafka   kafka.Options
	cluster *cluster.Cluster // nil with the embedded broker
	fleet   *fleet
	engine  engine
	watch   *observer
	publish publisher
	kills   atomic.Int64
	faults  atomic.Int64

	// Of an InTurn run:
	caller *caller
	ports  map[string]int // of health and metrics, by process
	over   chan struct{}  // closed when publishing shall end; nil where a number of vacancies says so

	mu       sync.Mutex // guards both below
	previous map[string]bool
	done     []Done
}

// Run does a whole run. Its error is that the run itself failed; what the check found is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("checking the options: %w", err)
	}
	logFile, err := os.Create(filepath.Join(o.Dir, "chaos.log"))
	if err != nil {
		return nil, fmt.Errorf("making the log: %w", err)
	}
	defer logFile.Close()
	r := &run{Options: o, start: time.Now(), previous: map[string]bool{}, log: slog.New(slog.NewTextHandler(logFile, nil))}
	// What fails fatally anywhere ends all.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer r.stop()
	if err := r.up(ctx, cancel); err != nil {
		return nil, fmt.Errorf("starting the flow: %w", err)
	}
	report, err := r.through(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return report, err
}

// up starts everything but the publisher.
func (r *run) up(ctx context.Context, failed context.CancelCauseFunc) error {
	card, err := encoderCard()
	if err != nil {
		return err
	}
	var starting errgroup.Group
	starting.Go(func() error { return r.startKafka(ctx) })
	starting.Go(func() error { return r.engine.start(ctx, r.Options, failed) })
	if err := starting.Wait(); err != nil {
		return err
	}
	client, err := kafka.NewClient(r.kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := kafka.EnsureTopics(ctx, client, card.ID, kafka.Layout{Partitions: partitions, Replication: -1}); err != nil {
		return err
	}
	if r.watch, err = observe(ctx, r.kafka, card.ID, r.log); err != nil {
		return err
	}
	r.fleet = &fleet{dir: r.Dir, command: r.command, say: r.say, members: map[string]*member{}}
	if r.InTurn != nil {
		return r.upWatched(ctx)
	}
	for _, stage := range stages {
		for slot := range firstSlots {
			r.fleet.add(fmt.Sprintf("%s/%d", stage, slot))
		}
	}
	r.fleet.add("sink")
	r.say("up: %d brokers, %d partitions, ClickHouse, %d workers, the sink", len(r.kafka.Brokers), partitions, len(stages)*firstSlots)
	return nil
}

// upWatched starts the processes of an InTurn run: the sink first, whose tables the others ask, and returns when all are ready.
func (r *run) upWatched(ctx context.Context) error {
	var err error
	if r.ports, err = portsOf(Releases()); err != nil {
		return err
	}
	r.over, r.caller, r.publish.past = make(chan struct{}), &caller{patience: apiPatience}, true
	for _, part := range Releases() {
		r.previous[part] = r.Previous != nil
		if strings.HasPrefix(part, "serve/") {
			r.caller.addrs = append(r.caller.addrs, r.health(part))
		}
	}
	for i, part := range Releases() {
		r.fleet.add(part)
		if i == 0 {
			if err := r.awaitReady(ctx, part); err != nil {
				return err
			}
		}
	}
	for _, part := range Releases() {
		if err := r.awaitReady(ctx, part); err != nil {
			return err
		}
	}
	r.say("up: %d brokers, %d partitions, ClickHouse, %s", len(r.kafka.Brokers), partitions, strings.Join(Releases(), ", "))
	return nil
}

func (r *run) startKafka(ctx context.Context) error {
	if r.Libs == "" {
		broker, err := embedded.StartKafka(embedded.KafkaOptions{})
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, broker.Stop)
		r.kafka = kafka.Options{Brokers: broker.Addrs(), Logger: r.log}
		return nil
	}
	c, err := cluster.Start(ctx, cluster.Options{Dir: r.Dir, Brokers: 3, Libs: r.Libs, PreTouch: r.InTurn != nil, StartTimeout: brokersTime, Logger: r.log})
	if err != nil {
		return err
	}
	r.cluster, r.kafka = c, kafka.Options{Brokers: c.Addrs(), Logger: r.log}
	return nil
}

// stop ends what still runs.
func (r *run) stop() {
	if r.fleet != nil {
		r.fleet.killAll()
	}
	if r.watch != nil {
		r.watch.close()
	}
	r.engine.stop()
	if r.cluster != nil {
		r.cluster.Stop()
	}
}

// command is the command line of a member of the fleet.
func (r *run) command(name string) []string {
	stage, slot, _ := strings.Cut(name, "/")
	release := Release{r.Jobstrom, r.Self}
	if r.isPrevious(name) {
		release = *r.Previous
	}
	var line []string
	switch {
	case release.Jobstrom == nil || r.StubEncoder && stage == "embed":
		line = append(line, release.Self...)
		line = append(line, workerCommand, stage, "--exactly-once="+strconv.FormatBool(!r.AtLeastOnce))
	case stage == "serve":
		line = append(append(line, release.Jobstrom...), "serve")
	case stage == "watch":
		line = append(append(line, release.Jobstrom...), "drift", "watch", "--drift-every", "1m", "--drift-current", "last 1h", "--drift-reference", "before")
	default:
		line = append(append(line, release.Jobstrom...), "run", stage)
	}
	line = append(line, "--brokers", strings.Join(r.kafka.Brokers, ","), "--log-level", "info", "--group-protocol", r.Protocol, "--transaction-timeout", transactionTimeout.String())
	if addr := r.health(name); addr != "" && stage == "serve" {
		line = append(line, "--http", addr)
	} else if addr != "" {
		line = append(line, "--metrics-address", addr)
	}
	switch {
	case stage == "sink" || stage == "serve" || stage == "watch":
		return append(line, "--clickhouse", r.engine.addr)
	case stage == "extract" && r.GLiNER2 != "":
		line = append(line, "--gliner2", r.GLiNER2, "--extractor", string(extract.Both), "--gliner2-labels", string(extract.Tasks)+":"+modelLabel)
	}
	return append(line, "--slot", slot)
}

// through publishes while faults happen, waits until nothing is left to do, and checks.
func (r *run) through(ctx context.Context) (*Report, error) {
	report := &Report{Plan: r.InTurn}
	if r.InTurn == nil {
		over := time.Duration(float64(r.Vacancies) / r.Rate * float64(time.Second))
		report.Plan = Plan(r.Seed, r.Kills, over, len(r.kafka.Brokers))
		r.say("plan of seed %d over %v: %s", r.Seed, over.Round(time.Second), summary(report.Plan))
	}
	r.start = time.Now()
	progress, ended := context.WithCancel(ctx)
	defer ended()
	go r.progress(progress, len(report.Plan))

	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error {
		defer func() { report.Published = time.Since(r.start) }()
		return r.publish.publish(workCtx, r.kafka, r.Vacancies, r.Rate, r.over)
	})
	if r.InTurn == nil {
		work.Go(func() error { return r.execute(workCtx, report.Plan) })
	} else {
		work.Go(func() error { return r.caller.call(workCtx, r.APIRate, r.over) })
		work.Go(func() error {
			defer close(r.over)
			if err := r.inTurn(workCtx, report.Plan); err != nil {
				return err
			}
			return wait(workCtx, time.Until(r.start.Add(r.Lasts)))
		})
		sampling, sampled := context.WithCancel(ctx)
		defer sampled()
		samples := make(chan []Sample, 1)
		go func() { samples <- r.sample(sampling) }() // ends with sampling
		defer func() { sampled(); report.Samples = <-samples }()
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	last := time.Now()
	r.say("all is published and runs again, waiting until nothing is left to do")
	if err := r.drain(ctx); err != nil {
		return nil, err
	}
	report.Drained = time.Since(last)
	r.say("checking")
	observed := r.watch.observed()
	observed.Acknowledged, observed.Bad = r.publish.acknowledged, isBad
	if r.caller != nil {
		report.API, observed.Accepted = r.caller.seen()
	}
	var err error
	if report.ClickHouse, err = readViews(ctx, r.engine.addr, r.watch.raw, &observed); err != nil {
		return nil, err
	}
	report.Verdict = Check(observed)
	report.Kills, report.Unasked = int(r.kills.Load()), int(r.fleet.unasked.Load())
	report.Unacknowledged = int(r.publish.sent.Load()) - len(observed.Acknowledged) + report.API.Open
	report.Written = len(observed.Raw) - len(observed.Acknowledged) - len(observed.Accepted)
	r.mu.Lock()
	defer r.mu.Unlock()
	report.Done = r.done
	return report, nil
}

// drain waits until all is read and committed, and ends the workers and the sink in order, so that nobody can write any more.
func (r *run) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.DrainTimeout)
	defer cancel()
	if err := r.watch.drained(ctx); err != nil {
		return err
	}
	var stopping errgroup.Group
	for _, name := range r.fleet.names() {
		if name != "sink" {
			stopping.Go(func() error { return r.fleet.remove(name) })
		}
	}
	if err := stopping.Wait(); err != nil {
		return err
	}
	// A worker that woke up late may have written until now; the sink has to know that, too.
	if err := r.watch.settled(ctx); err != nil {
		return err
	}
	if err := r.watch.drained(ctx); err != nil {
		return err
	}
	return r.fleet.remove("sink")
}

// say writes a line to the timeline.
func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.Timeline, "%7.1f s  %s\n", time.Since(r.start).Seconds(), fmt.Sprintf(format, args...))
}

// progress reports how far the run is.
func (r *run) progress(ctx context.Context, faults int) {
	const width = 30
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(reportEvery):
		}
		_, classified, letters := r.watch.counts()
		done := width * (classified + letters) / r.Vacancies
		if r.InTurn != nil {
			done = width * int(r.faults.Load()) / faults
		}
		r.say("[%s%s] %d sent, %d acknowledged, %d classified, %d dead letters, %d of %d faults", strings.Repeat("#", min(done, width)), strings.Repeat(".", width-min(done, width)),
			r.publish.sent.Load(), r.publish.acknowledgements(), classified, letters, r.faults.Load(), faults)
	}
}

// inSync polls until every partition is on all brokers again.
func inSync(ctx context.Context, o kafka.Options, brokers int) error {
	client, err := kafka.NewClient(o)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for {
		behind := "the topics are not known"
		if topics, err := admin.ListTopicsWithInternal(ctx); err == nil {
			behind = ""
			topics.EachPartition(func(p kadm.PartitionDetail) {
				if p.Err != nil || len(p.ISR) < brokers {
					behind = fmt.Sprintf("%s, partition %d", p.Topic, p.Partition)
				}
			})
		}
		if behind == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until all brokers are in sync: %s: %w", behind, ctx.Err())
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// self returns this program's command line for children.
func self() ([]string, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the running program: %w", err)
	}
	return []string{path}, nil
}
