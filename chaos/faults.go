package chaos

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"jobstrom/cluster"
	"jobstrom/embedded"
)

// execute lets the faults of a plan happen, each at its time, or as soon as the one before on the same process is over. It returns when all have
// happened and everything runs again.
func (r *run) execute(ctx context.Context, plan []Fault) error {
	queues := map[string]chan Fault{}
	happening, ctx := errgroup.WithContext(ctx)
	err := func() error {
		for _, f := range plan {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Until(r.start.Add(f.At))):
			}
			// Brokers are killed one at a time, whichever it is.
			of, _, _ := strings.Cut(f.Target, "/")
			if f.Kind != KillBroker {
				of = f.Target
			}
			if queues[of] == nil {
				queue := make(chan Fault, len(plan))
				queues[of] = queue
				happening.Go(func() error {
					for f := range queue {
						if err := r.happen(ctx, f); err != nil {
							return fmt.Errorf("at %s %s: %w", f.Kind, f.Target, err)
						}
					}
					return nil
				})
			}
			queues[of] <- f
		}
		return nil
	}()
	for _, queue := range queues {
		close(queue)
	}
	if failed := happening.Wait(); failed != nil {
		return failed
	}
	return err
}

// happen does one fault and mends it.
func (r *run) happen(ctx context.Context, f Fault) error {
	what := string(f.Kind) + " " + f.Target
	if f.Lasts > 0 {
		what += fmt.Sprintf(" for %.1f s", f.Lasts.Seconds())
	}
	r.say("%s", what)
	r.faults.Add(1)
	if f.Kind.isKill() {
		r.kills.Add(1)
	}
	switch f.Kind {
	case KillWorker, KillSink:
		return r.fleet.kill(ctx, f.Target, f.Lasts)
	case Restart:
		return r.replace(ctx, f.Target, r.isPrevious(f.Target))
	case Upgrade:
		return r.replace(ctx, f.Target, false)
	case RollBack:
		return r.replace(ctx, f.Target, true)
	case RestartBroker:
		return r.rollBroker(ctx, f.Target)
	case RestartEngine:
		return r.engine.restart(ctx)
	case Extend:
		return r.extend(ctx)
	case KillBroker:
		i, err := brokerNumber(f.Target)
		if err != nil {
			return err
		}
		r.cluster.Kill(i)
		if err := wait(ctx, f.Lasts); err != nil {
			return err
		}
		if err := r.cluster.Restart(ctx, i); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, brokersTime)
		defer cancel()
		if err := inSync(ctx, r.kafka, len(r.kafka.Brokers)); err != nil {
			return err
		}
		r.say("%s is back and in sync", f.Target)
	case KillEngine:
		return r.engine.crash(ctx, f.Lasts)
	case PauseWorker:
		return r.fleet.pause(ctx, f.Target, f.Lasts)
	case AddWorker:
		r.fleet.add(f.Target)
	case RemoveWorker:
		return r.fleet.remove(f.Target)
	}
	return nil
}

func brokerNumber(target string) (int, error) {
	_, number, _ := strings.Cut(target, "/")
	return strconv.Atoi(number)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// engine is ClickHouse's, in a process that can be killed and started again on the same data and port.
type engine struct {
	addr    string
	options embedded.ClickHouseOptions
	failed  context.CancelCauseFunc

	mu      sync.Mutex // guards running
	running *embedded.ClickHouse
}

func (e *engine) start(ctx context.Context, o Options, failed context.CancelCauseFunc) error {
	ports, err := cluster.FreePorts(2)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(filepath.Join(o.Dir, "clickhouse"))
	if err != nil {
		return err
	}
	e.failed = failed
	e.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	e.options = embedded.ClickHouseOptions{DataDir: dir, NativePort: ports[0], HTTPPort: ports[1], Library: o.Engine}
	return e.again(ctx)
}

const engineTries = 5

func (e *engine) again(ctx context.Context) error {
	running, err := embedded.StartClickHouse(ctx, e.options)
	// A process that is being started beside it holds all open files of this one until its exec, the port's included.
	for try := 1; err != nil && try < engineTries && wait(ctx, time.Second) == nil; try++ {
		running, err = embedded.StartClickHouse(ctx, e.options)
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = running
	go func() { // ends with the engine
		<-running.Done()
		if err := running.Err(); err != nil {
			e.failed(fmt.Errorf("running ClickHouse: %w", err))
		}
	}()
	return nil
}

// crash kills the engine and starts it again after a rest.
func (e *engine) crash(ctx context.Context, rest time.Duration) error {
	e.stop()
	if err := wait(ctx, rest); err != nil {
		return err
	}
	return e.again(ctx)
}

// restart asks the engine to end, and starts it again.
func (e *engine) restart(ctx context.Context) error {
	e.mu.Lock()
	running := e.running
	e.mu.Unlock()
	stopping, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	if err := running.Stop(stopping); err != nil {
		return err
	}
	return e.again(ctx)
}

// pid is the engine's process id, 0 while it is down.
func (e *engine) pid() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running == nil {
		return 0
	}
	select {
	case <-e.running.Done():
		return 0
	default:
		return e.running.Pid()
	}
}

// stop kills the engine.
func (e *engine) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running != nil {
		e.running.Kill()
		e.running = nil
	}
}
