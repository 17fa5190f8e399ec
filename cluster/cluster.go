// Package cluster runs Apache Kafka on this machine, one broker or three, for tests, measurements and `make kafka`.
//
// It is the real broker (KRaft, Java 17 or newer) from the jars that the set-up fetches, on free ports of 127.0.0.1. Brokers can be killed, paused and
// started again. The package promises that no broker outlives the process that started it (on Linux even when that is
// killed), and that a failed start says what is missing or shows the broker's last lines.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Options say what to start.
type Options struct {
	// Dir holds the brokers' data, settings and logs; it is made when missing. What an earlier cluster left there is taken up.
	Dir string
	// Brokers is 1 (the default) or 3. Three replicate everything threefold and acknowledge what two have.
	Brokers int
	// Libs is the folder of Kafka's jars; see FindLibs.
	Libs string
	// Security adds a listener that demands TLS, a password or both; nil adds none.
	Security *Security
	// Settings overrule those of server.properties.
	Settings map[string]string
	// PreTouch has each broker touch its whole heap when it starts, so that its memory grows by what it leaks, not by what it uses for the first time.
	PreTouch bool
	// StartTimeout bounds the start of the cluster or of one broker, default 2 minutes: a broker that was killed waits
	// for its former session to end, and a busy machine makes it slow.
	StartTimeout time.Duration
	// Logger receives starts, kills and unexpected ends. Nil discards.
	Logger *slog.Logger
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.Brokers == 0 {
		o.Brokers = 1
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 2 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Security != nil {
		security := *o.Security
		security.ensureDefaults()
		o.Security = &security
	}
}

// Validate reports every violation.
func (o Options) Validate() error {
	var wrong []error
	if o.Dir == "" {
		wrong = append(wrong, errors.New("dir must name a folder"))
	}
	if o.Libs == "" {
		wrong = append(wrong, errors.New("libs must name the folder of Kafka's jars"))
	}
	if o.Brokers != 1 && o.Brokers != 3 {
		wrong = append(wrong, fmt.Errorf("brokers (%d) must be 1 or 3", o.Brokers))
	}
	if o.Security != nil {
		wrong = append(wrong, o.Security.validate()...)
	}
	return errors.Join(wrong...)
}

// ErrUnavailable is returned where Java or Kafka's jars are missing; its text says which, and what to do.
var ErrUnavailable = errors.New("no Apache Kafka on this machine")

// FindLibs returns the folder of Kafka's jars inside that of the native parts, or an ErrUnavailable.
func FindLibs(native string) (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("%w: java is not on PATH: install Java 17 or newer (apt-get install openjdk-17-jre-headless)", ErrUnavailable)
	}
	libs := filepath.Join(native, "kafka")
	if jars, _ := filepath.Glob(filepath.Join(libs, "kafka_*.jar")); len(jars) == 0 {
		return "", fmt.Errorf("%w: there are no jars in %s: `make setup-test` fetches them where mvn is", ErrUnavailable, libs)
	}
	return libs, nil
}

// Cluster is a running cluster. Its methods may be called from any goroutine.
type Cluster struct {
	options Options
	brokers []*broker
}

// broker is one node: broker and controller in one process.
type broker struct {
	id                        int
	dir                       string
	plain, controller, secure int // ports

	mu      sync.Mutex   // guards process, and lets one start or kill happen at a time
	process *Process     // nil before the first start
	pid     atomic.Int64 // of process, for those who do not wait for a start
}

// Start starts all brokers and returns when each of them knows all others. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("starting Apache Kafka: %w", err)
	}
	return c, nil
}

func start(ctx context.Context, o Options) (*Cluster, error) {
	o.EnsureDefaults()
	err := o.Validate()
	if err == nil {
		o.Dir, err = filepath.Abs(o.Dir)
	}
	if err != nil {
		return nil, err
	}
	ports, err := FreePorts(3 * o.Brokers)
	if err != nil {
		return nil, err
	}
	c := &Cluster{options: o}
	for i := range o.Brokers {
		c.brokers = append(c.brokers, &broker{id: i, dir: filepath.Join(o.Dir, "broker-"+strconv.Itoa(i)), plain: ports[3*i], controller: ports[3*i+1], secure: ports[3*i+2]})
	}
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	errs := make([]error, len(c.brokers))
	var all sync.WaitGroup
	for i, b := range c.brokers {
		all.Go(func() {
			if errs[i] = c.format(ctx, b); errs[i] == nil {
				errs[i] = c.startBroker(ctx, b, len(c.brokers))
			}
			if errs[i] != nil {
				cancel() // the others would wait for it
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// Addrs are the addresses of the listener that asks for nothing, host:port, one a broker. Its clients may do everything.
func (c *Cluster) Addrs() []string {
	return c.addrs(func(b *broker) int { return b.plain })
}

// SecureAddrs are the addresses of the listener of Options.Security.
func (c *Cluster) SecureAddrs() []string {
	return c.addrs(func(b *broker) int { return b.secure })
}

func (c *Cluster) addrs(port func(*broker) int) []string {
	var addrs []string
	for _, b := range c.brokers {
		addrs = append(addrs, loopback(port(b)))
	}
	return addrs
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Kill ends broker i as a crash does (SIGKILL) and returns when it is gone. It keeps its ports and data for Restart.
func (c *Cluster) Kill(i int) {
	b := c.brokers[i]
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process != nil && b.process.Kill() {
		c.options.Logger.Info("broker killed", "broker", i)
	}
}

// Restart starts broker i again, after a Kill of it if it runs, and returns when it serves. After a kill that takes until the controller has given up
// its former session: 6 to 10 seconds.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	c.Kill(i)
	ctx, cancel := context.WithTimeout(ctx, c.options.StartTimeout)
	defer cancel()
	if err := c.startBroker(ctx, c.brokers[i], 1); err != nil {
		return fmt.Errorf("starting Apache Kafka again: %w", err)
	}
	return nil
}

// Roll restarts broker i as an upgrade does: it is asked to end, gives its partitions away, and is started again. Roll returns when it serves; its replicas are then still behind.
func (c *Cluster) Roll(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.StartTimeout)
	defer cancel()
	b := c.brokers[i]
	b.mu.Lock()
	process := b.process
	b.mu.Unlock()
	if process == nil {
		return fmt.Errorf("restarting broker %d: it was not started", i)
	}
	if err := process.Terminate(ctx); err != nil {
		return fmt.Errorf("restarting broker %d: %w", i, err)
	}
	c.options.Logger.Info("broker stopped", "broker", i)
	if err := c.startBroker(ctx, b, 1); err != nil {
		return fmt.Errorf("restarting broker %d: %w", i, err)
	}
	return nil
}

// Pid is the process id of broker i, 0 before its first start.
func (c *Cluster) Pid(i int) int {
	return int(c.brokers[i].pid.Load())
}

// Pause stops broker i in its tracks (SIGSTOP) until Resume: its connections stay open and nothing answers.
func (c *Cluster) Pause(i int) error { return c.signal(i, syscall.SIGSTOP) }

// Resume lets a paused broker go on.
func (c *Cluster) Resume(i int) error { return c.signal(i, syscall.SIGCONT) }

func (c *Cluster) signal(i int, s os.Signal) error {
	b := c.brokers[i]
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil {
		return fmt.Errorf("signalling broker %d: it was not started", i)
	}
	if err := b.process.Signal(s); err != nil {
		return fmt.Errorf("signalling broker %d: %w", i, err)
	}
	return nil
}

// Stop ends all brokers at once, as Kill does: three that wait for each other take long, and what is acknowledged is in Dir.
func (c *Cluster) Stop() {
	for i := range c.brokers {
		c.Kill(i)
	}
}

// startBroker starts the process of a broker and waits until it serves and knows that many brokers.
func (c *Cluster) startBroker(ctx context.Context, b *broker, known int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	begun := time.Now()
	// Not ctx, which bounds the start: the broker runs until it is killed.
	memory := []string{"-Xms256m", "-Xmx256m"}
	if c.options.PreTouch {
		memory = append(memory, "-XX:+AlwaysPreTouch")
	}
	command := java(context.Background(), c.options.Libs, "INFO", memory, "kafka.Kafka", filepath.Join(b.dir, "server.properties"))
	log, err := os.OpenFile(b.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of broker %d: %w", b.id, err)
	}
	defer log.Close() // the child has its own
	command.Stdout, command.Stderr = log, log
	if b.process, err = StartProcess(command); err != nil {
		return fmt.Errorf("running broker %d: %w", b.id, err)
	}
	b.pid.Store(int64(b.process.Pid()))
	go c.watch(b.id, b.process) // ends with the process
	if err := b.awaitReady(ctx, known); err != nil {
		b.process.Kill()
		return err
	}
	c.options.Logger.Info("broker started", "broker", b.id, "address", loopback(b.plain), "took", time.Since(begun).Round(time.Millisecond))
	return nil
}

func (b *broker) logFile() string { return filepath.Join(b.dir, "server.log") }

// watch reports an end that nobody asked for.
func (c *Cluster) watch(id int, p *Process) {
	<-p.done
	if !p.killed.Load() {
		c.options.Logger.Error("broker ended by itself", "broker", id, "error", p.err)
	}
}

// awaitReady polls until the broker itself says that it is part of a cluster of that many brokers.
func (b *broker) awaitReady(ctx context.Context, known int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(loopback(b.plain)), kgo.RequestRetries(0), kgo.DialTimeout(time.Second))
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	defer client.Close()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		request := kmsg.NewPtrMetadataRequest()
		request.Topics = []kmsg.MetadataRequestTopic{} // none: brokers only
		answer, err := client.SeedBrokers()[0].Request(ctx, request)
		if err == nil {
			brokers := answer.(*kmsg.MetadataResponse).Brokers
			for _, other := range brokers {
				if int(other.NodeID) == b.id && len(brokers) >= known {
					return nil
				}
			}
		}
		select {
		case <-b.process.done:
			return fmt.Errorf("running broker %d: it ended by itself: %w\nlast lines of %s:\n%s", b.id, b.process.err, b.logFile(), lastLines(b.logFile()))
		case <-ctx.Done():
			return fmt.Errorf("waiting for broker %d: %w\nlast lines of %s:\n%s", b.id, ctx.Err(), b.logFile(), lastLines(b.logFile()))
		case <-poll.C:
		}
	}
}
