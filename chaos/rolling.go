package chaos

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"jobstrom/cluster"
)

// Kinds of what an operator does on purpose, one after the other. Processes are asked to end (SIGTERM) and are started again.
const (
	Restart       Kind = "restart"
	Upgrade       Kind = "upgrade"   // from the previous release to this one
	RollBack      Kind = "roll back" // to the previous release
	RestartBroker Kind = "restart broker"
	RestartEngine Kind = "restart ClickHouse"
	// Extend adds to the schema what a release after this one may add, so that what runs afterwards is older than its database.
	Extend Kind = "extend the schema"
)

// Done is a step that was taken: when it began, how long until the part was ready again, and until all that had waited meanwhile had gone through the flow.
type Done struct {
	Fault
	Began           time.Duration
	Ready, CaughtUp time.Duration
}

// Bounds of one step, on a machine that is busy with other work.
const (
	readyTime   = 4 * time.Minute
	catchUpTime = 4 * time.Minute
)

// watched are the parts beside the stages and the sink when a run is rolling: two processes of the API, of which one is there while the other is replaced, and the watch for drift.
var watched = []string{"serve/0", "serve/1", "watch"}

// Releases are the parts of the flow in the order in which an upgrade replaces them: the sink first, which brings the tables to what the others expect, then the stages in the
// order of the flow, the API, and the watch.
func Releases() []string {
	parts := []string{"sink"}
	for _, stage := range stages {
		for slot := range firstSlots {
			parts = append(parts, fmt.Sprintf("%s/%d", stage, slot))
		}
	}
	return append(parts, watched...)
}

// UpgradePlan replaces every process by the new release, one by one; extends the schema, and puts the sink and a classify worker back, each on a database newer than itself.
func UpgradePlan() []Fault {
	var plan []Fault
	for _, part := range Releases() {
		plan = append(plan, Fault{Kind: Upgrade, Target: part})
	}
	return append(plan, Fault{Kind: Extend, Target: "clickhouse"}, Fault{Kind: RollBack, Target: "sink"}, Fault{Kind: RollBack, Target: "classify/0"})
}

// RestartPlan restarts every part in turn, brokers and ClickHouse included, at equal distances between two times.
func RestartPlan(from, to time.Duration, brokers int) []Fault {
	var plan []Fault
	for _, part := range Releases() {
		plan = append(plan, Fault{Kind: Restart, Target: part})
	}
	plan = append(plan, Fault{Kind: RestartEngine, Target: "clickhouse"})
	for i := range brokers {
		plan = append(plan, Fault{Kind: RestartBroker, Target: fmt.Sprintf("broker/%d", i)})
	}
	for i := range plan {
		plan[i].At = from + time.Duration(i)*(to-from)/time.Duration(max(len(plan)-1, 1))
	}
	return plan
}

// inTurn takes the steps of a plan, each at its time or as soon as the one before is over and the flow has caught up. It returns when all are taken.
func (r *run) inTurn(ctx context.Context, plan []Fault) error {
	for _, f := range plan {
		if err := wait(ctx, time.Until(r.start.Add(f.At))); err != nil {
			return err
		}
		if err := r.step(ctx, f); err != nil {
			return fmt.Errorf("at %s %s: %w", f.Kind, f.Target, err)
		}
	}
	return nil
}

func (r *run) step(ctx context.Context, f Fault) error {
	done := Done{Fault: f, Began: time.Since(r.start)}
	if err := r.happen(ctx, f); err != nil {
		return err
	}
	done.Ready = time.Since(r.start) - done.Began
	catching, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	if err := r.watch.caughtUp(catching); err != nil {
		return err
	}
	done.CaughtUp = time.Since(r.start) - done.Began
	r.say("%s %s: ready after %.1f s, caught up after %.1f s", f.Kind, f.Target, done.Ready.Seconds(), done.CaughtUp.Seconds())
	r.mu.Lock()
	r.done = append(r.done, done)
	r.mu.Unlock()
	return nil
}

// replace restarts a process, by the release of before or by this one, and waits until it says that it is ready.
func (r *run) replace(ctx context.Context, name string, previous bool) error {
	r.mu.Lock()
	r.previous[name] = previous
	r.mu.Unlock()
	if err := r.fleet.restart(ctx, name); err != nil {
		return err
	}
	return r.awaitReady(ctx, name)
}

// isPrevious says that a process is of the previous release.
func (r *run) isPrevious(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.previous[name]
}

// health is where a process answers /readyz and /metrics; empty where it does not: the stub of the release before metrics.
func (r *run) health(name string) string {
	port := r.ports[name]
	if port == 0 || r.isPrevious(name) && strings.HasPrefix(name, "embed/") && r.StubEncoder {
		return ""
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// awaitReady polls until a process is ready.
func (r *run) awaitReady(ctx context.Context, name string) error {
	addr := r.health(name)
	if addr == "" {
		_, err := r.fleet.member(name).running(ctx)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	client := http.Client{Timeout: 2 * time.Second}
	for {
		last := r.probe(ctx, &client, addr)
		if last == nil {
			return nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for %s to be ready: %w (last: %w); see %s", name, err, last, r.fleet.member(name).logFile())
		}
	}
}

func (r *run) probe(ctx context.Context, client *http.Client, addr string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return fmt.Errorf("status %d: %s", response.StatusCode, text)
	}
	return nil
}

// rollBroker restarts a broker and waits until it is in sync.
func (r *run) rollBroker(ctx context.Context, target string) error {
	i, err := brokerNumber(target)
	if err != nil {
		return err
	}
	if err := r.cluster.Roll(ctx, i); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return inSync(ctx, r.kafka, len(r.kafka.Brokers))
}

// extend adds to the tables, and records it as a migration with the number behind the last one, as warehouse.Migrate does.
func (r *run) extend(ctx context.Context) error {
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{r.engine.addr}, Auth: clickhouse.Auth{Database: "jobstrom"}})
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range []string{
		"ALTER TABLE embedding_rows ADD COLUMN IF NOT EXISTS of_a_later_release UInt8 DEFAULT 1",
		"ALTER TABLE prediction_rows ADD COLUMN IF NOT EXISTS of_a_later_release LowCardinality(String) DEFAULT 'none'",
		"INSERT INTO schema_additions (version, name, sha256, applied_at) SELECT 1 + max(version), '9999_of_a_later_release.sql', repeat('0', 64), now64(3) FROM " +
			"(SELECT version FROM schema_migrations UNION ALL SELECT version FROM schema_additions)",
	} {
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("running %.40s…: %w", statement, err)
		}
	}
	return nil
}

// portsOf gives each part of a rolling run a port for its health and metrics.
func portsOf(parts []string) (map[string]int, error) {
	free, err := cluster.FreePorts(len(parts))
	if err != nil {
		return nil, err
	}
	ports := map[string]int{}
	for i, part := range parts {
		ports[part] = free[i]
	}
	return ports, nil
}
