package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// KafkaOptions configure the broker of one machine.
type KafkaOptions struct {
	// Dir holds its log; empty keeps everything in memory.
	Dir string
	// Port to listen on at 127.0.0.1; 0 takes a free one.
	Port int
	// Logger receives what keeps the broker from its work: a full disk. Nil discards.
	Logger *slog.Logger
}

// kafkaLog passes on what the broker warns of. It calls requests that fail a warning, too, but those concern the client that has the error.
type kafkaLog struct{ logger *slog.Logger }

func (l kafkaLog) Logf(level kfake.LogLevel, format string, values ...any) {
	if level == kfake.LogLevelError || level == kfake.LogLevelWarn && strings.HasPrefix(format, "persist ") {
		l.logger.Error("the embedded Kafka cannot write its data: clients wait and try again; make room in its folder", "error", fmt.Sprintf(format, values...))
	}
}

// Kafka is a broker inside this process that listens on a real port, so that any Kafka client can join.
// It serves one machine: a kill of its process may lose exactly-once; use Apache Kafka for promises.
type Kafka struct {
	cluster *kfake.Cluster
}

// StartKafka starts the broker. Its data survives a restart when Dir is set.
func StartKafka(o KafkaOptions) (*Kafka, error) {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("jobstrom"),
		kfake.BrokerConfigs(map[string]string{
			// Nobody waits for members who may still come, or long for those who have gone.
			"group.initial.rebalance.delay.ms":     "0",
			"group.consumer.heartbeat.interval.ms": "200",
			"group.consumer.session.timeout.ms":    "6000",
			"message.max.bytes":                    "16777216",
		}),
	}
	if o.Logger != nil {
		opts = append(opts, kfake.WithLogger(kafkaLog{o.Logger}))
	}
	if o.Port != 0 {
		opts = append(opts, kfake.Ports(o.Port))
	}
	if o.Dir != "" {
		dir := filepath.Clean(o.Dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("starting the embedded Kafka: %w", err)
		}
		opts = append(opts, kfake.DataDir(dir))
	}
	cluster, err := kfake.NewCluster(opts...)
	// To try the port before would not do: a process that is being started meanwhile, as ClickHouse is, holds what was tried until it runs its own program.
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("starting the embedded Kafka: port %d is taken: stop what uses it, or choose another port", o.Port)
	}
	if err != nil {
		return nil, fmt.Errorf("starting the embedded Kafka: %w", err)
	}
	return &Kafka{cluster: cluster}, nil
}

// Addrs returns where it listens, host:port.
func (k *Kafka) Addrs() []string { return k.cluster.ListenAddrs() }

// Stop closes the broker and writes what is left to its log.
func (k *Kafka) Stop() { k.cluster.Close() }
