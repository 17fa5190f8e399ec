package embedded

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// freeKafkaPort returns a port that nobody listens on now.
func freeKafkaPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	return n
}

func TestKafkaDataSurvivesARestart(t *testing.T) {
	o := KafkaOptions{Dir: t.TempDir(), Port: freeKafkaPort(t)}
	for round := range 2 {
		k, err := StartKafka(o)
		if err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...))
		if err != nil {
			t.Fatal(err)
		}
		admin := kadm.NewClient(client)
		if round == 0 {
			if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "a"); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "a", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		ends, err := admin.ListEndOffsets(t.Context(), "a")
		if end, _ := ends.Lookup("a", 0); err != nil || end.Offset != int64(round)+1 {
			t.Fatalf("round %d: the end is %d, %v", round, end.Offset, err)
		}
		client.Close()
		k.Stop()
	}
}

func TestKafkaPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	if _, err := StartKafka(KafkaOptions{Port: n}); err == nil || !strings.Contains(err.Error(), "port "+port+" is taken") {
		t.Fatalf("got %v", err)
	}
}
