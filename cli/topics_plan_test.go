package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"jobstrom/kafka"
)

// An operator's way: look, write the values down, change one, apply; the status says what there is to do.
func TestTopicsPlanAndApply(t *testing.T) {
	b, err := kfake.NewCluster(kfake.NumBrokers(1))
	must(t, err)
	t.Cleanup(b.Close)
	brokers := strings.Join(b.ListenAddrs(), ",")
	f := func(status int, want string, args ...string) string {
		t.Helper()
		got, out, errOut := jobstrom(t, "", append([]string{"topics", "--brokers", brokers}, args...)...)
		if got != status || !strings.Contains(out+errOut, want) {
			t.Errorf("topics %v: status %d, want %d and %q:\n%s%s", args, got, status, want, out, errOut)
		}
		return out
	}
	f(5, "create", "plan")
	printed := f(0, "retention.ms", "plan", "--print")
	file := write(t, "topics.yaml", printed)
	f(0, "create", "apply", "--file", file)
	f(0, "Nothing to do", "plan", "--file", file)
	f(0, "Nothing was done", "apply", "--file", file)
	f(0, "Nothing to do", "plan")
	longer := write(t, "topics.yaml", "topics:\n  vacancies.raw:\n    retention.ms: 1209600000\n")
	f(5, "1209600000", "plan", "--file", longer)
	var changes []kafka.Change
	must(t, json.Unmarshal([]byte(f(5, "", "plan", "--file", longer, "--format", "json")), &changes))
	if len(changes) != 1 || changes[0].Kind != kafka.Set || changes[0].From != "604800000" {
		t.Errorf("the plan as JSON is %+v", changes)
	}
	f(0, "1209600000", "apply", "--file", longer)
	f(0, "Nothing to do", "plan", "--file", longer)
	more := write(t, "topics.yaml", "topics:\n  '*':\n    partitions: 9\n  vacancies.raw:\n    retention.ms: 1209600000\n")
	f(3, "never changes", "plan", "--file", more)
	f(3, "never changes", "apply", "--file", more)
	f(1, "vacancies.rwa is no topic", "plan", "--file", write(t, "topics.yaml", "topics:\n  vacancies.rwa:\n    partitions: 1\n"))
	f(1, "field topic not found", "plan", "--file", write(t, "topics.yaml", "topic: {}\n"))
	f(1, "no such file", "apply", "--file", "/nowhere.yaml")
}
