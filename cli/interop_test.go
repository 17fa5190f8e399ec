package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster"
	"jobstrom/cluster/clustertest"
	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/schemas"
	"jobstrom/telemetry/logtest"
)

// outsider is a Kafka client that knows nothing of us.
type outsider struct {
	name string
	// produce publishes each line of its input with a compression; consume prints the values of a topic's committed records, from the first on, for ever.
	produce func(ctx context.Context, compression string) *exec.Cmd
	consume func(ctx context.Context) *exec.Cmd
}

// outsiders returns the clients to try. One that the set-up did not fetch is named in the log, or fails where all are required.
func outsiders(t *testing.T, addrs []string) []outsider {
	t.Helper()
	native, err := models.NativeDir()
	must(t, err)
	broker, all := addrs[0], []outsider{}
	missing := func(name, remedy string) {
		if os.Getenv(clustertest.Env) == "required" {
			t.Fatalf("%s is missing: %s", name, remedy)
		}
		t.Logf("SKIPPED with %s, which is missing: %s", name, remedy)
	}

	kcat := filepath.Join(native, "bin", "kcat")
	if _, err := os.Stat(kcat); err != nil {
		kcat, err = exec.LookPath("kcat")
		if err != nil {
			missing("kcat", "make test fetches it where apt-get is; else install it")
		}
	}
	if kcat != "" {
		all = append(all, outsider{
			name: "kcat",
			produce: func(ctx context.Context, compression string) *exec.Cmd {
				return exec.CommandContext(ctx, kcat, "-P", "-b", broker, "-t", kafka.Raw, "-z", compression)
			},
			consume: func(ctx context.Context) *exec.Cmd {
				return exec.CommandContext(ctx, kcat, "-C", "-b", broker, "-t", kafka.Classified, "-X", "isolation.level=read_committed", "-o", "beginning", "-u", "-q")
			},
		})
	}

	python := filepath.Join(native, "python")
	if _, err := os.Stat(python); err != nil {
		missing("confluent-kafka", "make test fetches it for Python 3.9 to 3.14 on Linux x86-64")
	} else {
		command := func(ctx context.Context, args ...string) *exec.Cmd {
			c := exec.CommandContext(ctx, "python3", append([]string{"testdata/client.py", broker}, args...)...)
			c.Env = append(os.Environ(), "PYTHONPATH="+python)
			return c
		}
		all = append(all, outsider{
			name: "confluent-kafka",
			produce: func(ctx context.Context, compression string) *exec.Cmd {
				return command(ctx, "produce", kafka.Raw, compression)
			},
			consume: func(ctx context.Context) *exec.Cmd { return command(ctx, "consume", kafka.Classified) },
		})
	}

	libs, err := cluster.FindLibs(native)
	if err != nil {
		missing("Kafka's console tools", err.Error())
		return all
	}
	return append(all, outsider{
		name: "console",
		produce: func(ctx context.Context, compression string) *exec.Cmd {
			return cluster.Tool(ctx, libs, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", broker, "--topic", kafka.Raw, "--compression-codec", compression)
		},
		consume: func(ctx context.Context) *exec.Cmd {
			return cluster.Tool(ctx, libs, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", broker, "--topic", kafka.Classified, "--isolation-level", "read_committed", "--from-beginning")
		},
	})
}

// Clients of other makes publish in each compression and read the answers. The flow is that of docker-compose.yaml, one process a stage.
func TestInteroperability(t *testing.T) {
	for _, b := range clustertest.Brokers(t) {
		t.Run(b.Name, func(t *testing.T) { interoperate(t, b) })
	}
}

func interoperate(t *testing.T, b clustertest.Broker) {
	addrs := b.Start(t)
	clients := outsiders(t, addrs) // before the flow, so that a missing one fails at once
	engine, web := startEngine(t), "127.0.0.1:"+freePorts(t, 1)[0]
	all := newServices(t, addrs[0], engine.Addr(), web)
	all.up()
	all.trainsNothing()
	awaitTopics(t, addrs)
	compressions := []string{"gzip", "snappy", "lz4", "zstd"}
	for _, client := range clients {
		t.Run(client.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			want := map[string]string{} // vacancy id → compression
			for _, compression := range compressions {
				id := client.name + "-" + compression
				want[id] = compression
				text := strings.Repeat("Vi søger en sygeplejerske til akutmodtagelsen. Du skal pleje patienter og måle blodtryk. ", 5) // what shrinks is compressed
				line, err := json.Marshal(map[string]string{"id": id, "text": text})
				must(t, err)
				produce := client.produce(ctx, compression)
				produce.Stdin = bytes.NewReader(append(line, '\n'))
				if out, err := produce.CombinedOutput(); err != nil {
					t.Fatalf("publishing with %s: %v\n%s", compression, err, out)
				}
			}
			readAnswers(t, client.consume(ctx), want)
			// kfake does not offer the oldest way to publish, by which librdkafka 2.0 tells whether a broker takes compressed records: kcat sends them as they are.
			if b.Name != "kfake" || client.name != "kcat" {
				checkCompression(t, addrs, want)
			}
		})
	}
	_, port, err := net.SplitHostPort(engine.HTTPAddr())
	must(t, err)
	f := &flowUnderTest{t: t, clickhouse: port, log: &logtest.Buffer{}}
	f.until("ClickHouse holds every vacancy once", func() bool {
		return f.ask("SELECT count() FROM system.tables WHERE database = 'jobstrom' AND name = 'predictions'") == "1" &&
			f.ask("SELECT count() FROM jobstrom.predictions") == strconv.Itoa(len(clients)*len(compressions))
	})
	f.until("the API answers", func() bool {
		response, err := http.Post("http://"+web+"/classify", "application/json", strings.NewReader(`{"text":"Vi søger en sygeplejerske til nattevagter."}`))
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return err == nil && response.StatusCode == http.StatusOK && strings.Contains(string(body), "Sundhed, omsorg og personlig pleje")
	})
}

// awaitTopics returns when the flow has made its topics: these clients do not wait for them.
func awaitTopics(t *testing.T, addrs []string) {
	t.Helper()
	client, err := kafka.NewClient(kafka.Options{Brokers: addrs})
	must(t, err)
	defer client.Close()
	for deadline := time.Now().Add(3 * time.Minute); ; <-time.After(20 * time.Millisecond) {
		if _, err = kafka.IDOf(t.Context(), client, kafka.Classified); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("there are no topics after 3 minutes: %v", err)
		}
	}
}

// readAnswers reads what a client prints until each vacancy was classified.
func readAnswers(t *testing.T, consume *exec.Cmd, want map[string]string) {
	t.Helper()
	var stderr bytes.Buffer
	consume.Stderr = &stderr
	out, err := consume.StdoutPipe()
	must(t, err)
	must(t, consume.Start())
	defer func() {
		_ = consume.Process.Signal(syscall.SIGTERM) // it leaves its group, or the next test waits for it
		_ = consume.Wait()
	}()
	seen := map[string]bool{}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for len(seen) < len(want) && lines.Scan() {
		c := &schemas.Classification{}
		if err := schemas.Decode(schemas.JSON, lines.Bytes(), c); err != nil {
			t.Fatalf("the client prints %q: %v", lines.Text(), err)
		}
		if want[c.Id] == "" {
			continue // another client's
		}
		if seen[c.Id] {
			t.Errorf("%s was classified twice", c.Id)
		}
		seen[c.Id] = true
		if c.Category != "Sundhed, omsorg og personlig pleje" {
			t.Errorf("%s is classified as %s", c.Id, c.Category)
		}
	}
	if len(seen) < len(want) {
		t.Fatalf("the client ended after %v of %v: %v\n%s", seen, want, lines.Err(), &stderr)
	}
}

// checkCompression checks that each vacancy lies on the raw topic as its client was told to compress it.
func checkCompression(t *testing.T, addrs []string, want map[string]string) {
	t.Helper()
	names := []string{"none", "gzip", "snappy", "lz4", "zstd"} // by their number in the protocol
	seen := 0
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	must(t, consumers.Follow(ctx, consumers.FollowOptions{Kafka: kafka.Options{Brokers: addrs}, Topics: []string{kafka.Raw}, FromStart: true}, func(r *kgo.Record) (bool, error) {
		var v struct{ ID string }
		must(t, json.Unmarshal(r.Value, &v))
		if want[v.ID] != "" {
			seen++
			if got := names[r.Attrs.CompressionType()]; got != want[v.ID] {
				t.Errorf("%s is compressed with %s, want %s", v.ID, got, want[v.ID])
			}
		}
		return seen < len(want), nil
	}))
	if seen != len(want) {
		t.Fatalf("%d of %d vacancies are on the raw topic", seen, len(want))
	}
}
