package cluster

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// clusterID is the same for all: none ever meets another.
const clusterID = "am9ic3Ryb20tY2x1c3Rlcg"

// settings returns the lines of a broker's server.properties.
func (c *Cluster) settings(b *broker) map[string]string {
	var voters []string
	for _, v := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@%s", v.id, loopback(v.controller)))
	}
	replication, inSync := "1", "1"
	if len(c.brokers) == 3 {
		replication, inSync = "3", "2"
	}
	s := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(b.id),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"listeners":                      "PLAIN://" + loopback(b.plain) + ",CONTROLLER://" + loopback(b.controller),
		"listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAIN",
		"log.dirs":                       filepath.Join(b.dir, "data"),

		"default.replication.factor":                       replication,
		"min.insync.replicas":                              inSync,
		"offsets.topic.replication.factor":                 replication,
		"transaction.state.log.replication.factor":         replication,
		"transaction.state.log.min.isr":                    inSync,
		"share.coordinator.state.topic.replication.factor": replication,
		"share.coordinator.state.topic.min.isr":            inSync,

		// Few, because each costs files and a moment at every start.
		"offsets.topic.num.partitions":         "4",
		"transaction.state.log.num.partitions": "4",
		"num.network.threads":                  "2",
		"num.io.threads":                       "4",
		"log.cleaner.dedupe.buffer.size":       "33554432",

		// A topic that is missing is an error to show, not one to make.
		"auto.create.topics.enable": "false",

		// The dead are noticed after 6 s, in both group protocols, and nobody waits for members who may still come.
		"group.initial.rebalance.delay.ms":                            "0",
		"broker.session.timeout.ms":                                   "6000",
		"group.min.session.timeout.ms":                                "1000",
		"group.consumer.session.timeout.ms":                           "6000",
		"group.consumer.min.session.timeout.ms":                       "1000",
		"group.consumer.heartbeat.interval.ms":                        "1000",
		"group.consumer.min.heartbeat.interval.ms":                    "500",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
	}
	if c.options.Security != nil {
		maps.Copy(s, c.options.Security.settings(b))
	}
	maps.Copy(s, c.options.Settings)
	return s
}

// format writes a broker's settings and makes its data folder, if it has none, with the users of Options.Security.
func (c *Cluster) format(ctx context.Context, b *broker) error {
	data := filepath.Join(b.dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return fmt.Errorf("making the folder of broker %d: %w", b.id, err)
	}
	if c.options.Security != nil {
		if err := c.options.Security.writeCertificates(b); err != nil {
			return fmt.Errorf("writing the certificates of broker %d: %w", b.id, err)
		}
	}
	settings, file := c.settings(b), filepath.Join(b.dir, "server.properties")
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s=%s\n", name, settings[name])
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("writing the settings of broker %d: %w", b.id, err)
	}
	if _, err := os.Stat(filepath.Join(data, "meta.properties")); err == nil {
		return nil
	}
	args := []string{"format", "--cluster-id", clusterID, "--config", file}
	if c.options.Security != nil {
		args = append(args, c.options.Security.scram()...)
	}
	if out, err := Tool(ctx, c.options.Libs, "kafka.tools.StorageTool", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("formatting the data folder of broker %d: %w\n%s", b.id, err, out)
	}
	return nil
}
