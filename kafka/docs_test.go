package kafka_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"jobstrom/kafka"
)

// The rights that docs/security.md lists are those that the tests grant: those of the flow by topic, those of the commands that declare topics by operation, which
// are the same on each of them.
func TestDocumentedRights(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range kafka.Roles("ENCODER") {
		columns := map[string]string{}
		add := func(column, value string) {
			if columns[column] != "" {
				columns[column] += ", "
			}
			columns[column] += value
		}
		topics := map[string][]string{} // of an operation
		for _, r := range role.Rights {
			add(r.Operation+r.Resource, "`"+r.Name+"`")
			switch r.Resource {
			case "topic":
				if len(topics[r.Operation]) == 0 {
					add("each topic", r.Operation)
				}
				topics[r.Operation] = append(topics[r.Operation], r.Name)
			case "cluster":
				add("cluster", r.Operation)
			}
		}
		line := fmt.Sprintf("| `%s` | %s | %s | %s | %s |", role.Command, columns["Readtopic"], columns["Writetopic"], columns["Readgroup"], columns["Writetransactional id"])
		if strings.HasPrefix(role.Command, "topics ") {
			line = fmt.Sprintf("| `%s` | %s | %s |", role.Command, columns["each topic"], columns["cluster"])
			for operation, names := range topics {
				if !slices.Equal(names, kafka.TopicNames("ENCODER")) {
					t.Errorf("%s needs %s on %v, and the document says on each topic", role.Command, operation, names)
				}
			}
		}
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("docs/security.md lacks this line:\n%s", line)
		}
	}
}
