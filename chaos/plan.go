package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind of a fault.
type Kind string

// The kinds. A kill is a SIGKILL, and what was killed is started again.
const (
	KillWorker   Kind = "kill worker"
	KillSink     Kind = "kill sink"
	KillBroker   Kind = "kill broker"
	KillEngine   Kind = "kill ClickHouse"
	PauseWorker  Kind = "pause worker"  // SIGSTOP, then SIGCONT
	AddWorker    Kind = "add worker"    // a process more
	RemoveWorker Kind = "remove worker" // SIGTERM, and not started again
)

// Fault is something that happens to the flow.
type Fault struct {
	// At is when, from the first vacancy on.
	At   time.Duration
	Kind Kind
	// Target is the process: "embed/1" for the stage's slot 1, "sink", "clickhouse", "broker/2".
	Target string
	// Lasts is how long it stays dead or paused.
	Lasts time.Duration
}

// stages in the order of the flow. Each starts with as many processes as firstSlots.
var stages = []string{"extract", "embed", "classify"}

const (
	firstSlots = 2
	mostSlots  = 4
)

// Pauses of a worker: past its session timeout (6 s), and past the transaction timeout (10 s) as well.
const (
	shortPause = 8 * time.Second
	longPause  = 14 * time.Second
)

// Plan deals faults over a time. The same seed gives the same plan. Without brokers none of them is killed.
func Plan(seed uint64, kills int, over time.Duration, brokers int) []Fault {
	random := rand.New(rand.NewPCG(seed, 0))
	kinds := dealKinds(random, kills, brokers)
	at := make([]time.Duration, len(kinds))
	for i := range at {
		at[i] = time.Duration(random.Int64N(int64(over)))
	}
	slices.Sort(at)

	slots := map[string][]string{}
	next := map[string]int{}
	add := func(stage string) string {
		name := fmt.Sprintf("%s/%d", stage, next[stage])
		next[stage]++
		slots[stage] = append(slots[stage], name)
		return name
	}
	for _, stage := range stages {
		for range firstSlots {
			add(stage)
		}
	}
	// pick returns a stage with some, but not more than most, processes.
	pick := func(fewest, most int) string {
		var fit []string
		for _, stage := range stages {
			if n := len(slots[stage]); n >= fewest && n <= most {
				fit = append(fit, stage)
			}
		}
		if len(fit) == 0 {
			return ""
		}
		return fit[random.IntN(len(fit))]
	}
	worker := func() string {
		stage := pick(1, mostSlots)
		return slots[stage][random.IntN(len(slots[stage]))]
	}
	var plan []Fault
	for i, kind := range kinds {
		f := Fault{At: at[i], Kind: kind, Lasts: time.Duration(random.Int64N(int64(3 * time.Second)))}
		switch kind {
		case KillWorker:
			f.Target = worker()
		case KillSink:
			f.Target = "sink"
		case KillBroker:
			f.Target = fmt.Sprintf("broker/%d", random.IntN(brokers))
		case KillEngine:
			f.Target = "clickhouse"
		case PauseWorker:
			f.Target, f.Lasts = worker(), shortPause
			if random.IntN(2) == 0 {
				f.Lasts = longPause
			}
		case AddWorker:
			stage := pick(1, mostSlots-1)
			if stage == "" {
				continue
			}
			f.Target, f.Lasts = add(stage), 0
		case RemoveWorker:
			stage := pick(2, mostSlots)
			if stage == "" {
				continue
			}
			of := slots[stage]
			n := random.IntN(len(of))
			f.Target, f.Lasts = of[n], 0
			slots[stage] = slices.Delete(of, n, n+1)
		}
		plan = append(plan, f)
	}
	return plan
}

// dealKinds returns so many kills, of each kind one at least where there are enough, and with them pauses, workers that come and workers that go, in random order.
func dealKinds(random *rand.Rand, kills, brokers int) []Kind {
	each := []Kind{KillWorker, KillSink, KillEngine}
	if brokers > 1 {
		each = append(each, KillBroker)
	}
	// Workers are what there is most of.
	weighted := append(slices.Clone(each), KillWorker, KillWorker, KillWorker, KillSink)
	var kinds []Kind
	for i := range kills {
		if i < len(each) {
			kinds = append(kinds, each[i])
			continue
		}
		kinds = append(kinds, weighted[random.IntN(len(weighted))])
	}
	for range max(1, kills/6) {
		kinds = append(kinds, PauseWorker)
	}
	for range max(1, kills/10) {
		kinds = append(kinds, AddWorker, RemoveWorker)
	}
	random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	return kinds
}

// isKill says that the fault is a SIGKILL.
func (k Kind) isKill() bool { return strings.HasPrefix(string(k), "kill ") }

// summary counts the kinds of a plan: "12 × kill worker, 3 × kill sink".
func summary(plan []Fault) string {
	count := map[Kind]int{}
	for _, f := range plan {
		count[f.Kind]++
	}
	var parts []string
	for _, k := range []Kind{KillWorker, KillSink, KillBroker, KillEngine, PauseWorker, AddWorker, RemoveWorker, Upgrade, Extend, RollBack, Restart, RestartEngine, RestartBroker} {
		if count[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d × %s", count[k], k))
		}
	}
	return strings.Join(parts, ", ")
}
