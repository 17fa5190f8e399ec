// Package clustertest gives tests the table of brokers that every Kafka test runs on: the embedded one and Apache Kafka.
//
//	func TestMain(m *testing.M) { os.Exit(clustertest.Main(m)) }
//
//	clustertest.Each(t, func(t *testing.T, addrs []string) { … })
//
// A test binary starts Apache Kafka once, when the first test asks for it, and gives it emptied to each test.
package clustertest

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"jobstrom/cluster"
	"jobstrom/embedded"
	"jobstrom/models"
)

// Env is the environment variable that, set to "required", makes tests fail where Apache Kafka is missing.
const Env = "JOBSTROM_TEST_KAFKA"

// Broker is a kind of broker that tests run on.
type Broker struct {
	// Name is "kfake" or "apache".
	Name string
	// Start returns the addresses of a broker without topics or groups, for the time of one test.
	Start func(t *testing.T) []string
}

// Brokers returns kfake and, where Java and its jars are, apache. Where they are not, the test's log says so.
func Brokers(t *testing.T) []Broker {
	t.Helper()
	brokers := []Broker{{Name: "kfake", Start: startEmbedded}}
	if !shared.inMain {
		t.Fatal("clustertest needs TestMain to call clustertest.Main")
	}
	libs, err := FindLibs()
	switch {
	case err == nil:
		brokers = append(brokers, Broker{Name: "apache", Start: func(t *testing.T) []string { return shared.start(t, libs) }})
	case os.Getenv(Env) == "required":
		t.Fatalf("%s=required: %v", Env, err)
	default:
		t.Logf("SKIPPED on Apache Kafka, this test runs on kfake only: %v", err)
	}
	return brokers
}

// Each runs a test on an empty broker of each kind, at these addresses.
func Each(t *testing.T, test func(t *testing.T, addrs []string)) {
	t.Helper()
	for _, b := range Brokers(t) {
		t.Run(b.Name, func(t *testing.T) { test(t, b.Start(t)) })
	}
}

// Libs returns the folder of Kafka's jars, for tests that start a cluster of their own. Where it or Java is missing, the test is skipped, or fails if Env
// demands it.
func Libs(t *testing.T) string {
	t.Helper()
	libs, err := FindLibs()
	if err != nil && os.Getenv(Env) == "required" {
		t.Fatalf("%s=required: %v", Env, err)
	}
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	return libs
}

// FindLibs returns the folder of Kafka's jars, or why there is no Apache Kafka here.
func FindLibs() (string, error) {
	native, err := models.NativeDir()
	if err != nil {
		return "", err
	}
	return cluster.FindLibs(native)
}

func startEmbedded(t *testing.T) []string {
	t.Helper()
	k, err := embedded.StartKafka(embedded.KafkaOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Stop)
	return k.Addrs()
}

// Main runs the tests and stops the Apache Kafka that they may have started. It returns the exit status.
func Main(m *testing.M) int {
	shared.inMain = true
	defer shared.stop()
	return m.Run()
}

// shared is the one cluster of this test binary: a start takes seconds and 300 MB, and tests cannot hand it on.
var shared sharedCluster

type sharedCluster struct {
	inMain bool

	inUse   sync.Mutex // held by the test that has the cluster
	cluster *cluster.Cluster
	dir     string
}

// start returns the addresses of the emptied cluster, which is the test's until its end.
func (s *sharedCluster) start(t *testing.T, libs string) []string {
	t.Helper()
	if !s.inUse.TryLock() {
		t.Fatal("another test has Apache Kafka: tests take it in turn, and once each")
	}
	t.Cleanup(s.inUse.Unlock)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if s.cluster == nil {
		if s.dir == "" {
			dir, err := os.MkdirTemp("", "jobstrom-kafka-")
			if err != nil {
				t.Fatal(err)
			}
			s.dir = dir
		}
		c, err := cluster.Start(ctx, cluster.Options{Dir: s.dir, Libs: libs, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		if err != nil {
			t.Fatal(err)
		}
		s.cluster = c
	}
	if err := wipe(ctx, s.cluster.Addrs()); err != nil {
		t.Fatalf("emptying Apache Kafka for the test: %v", err)
	}
	return s.cluster.Addrs()
}

func (s *sharedCluster) stop() {
	if s.cluster != nil {
		s.cluster.Stop()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
