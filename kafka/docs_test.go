package kafka_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"jobstrom/kafka"
)

// The rights that docs/security.md lists are those that the tests grant.
func TestDocumentedRights(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range kafka.Roles("ENCODER") {
		columns := map[string]string{}
		for _, r := range role.Rights {
			column := r.Operation + r.Resource
			if columns[column] != "" {
				columns[column] += ", "
			}
			columns[column] += "`" + r.Name + "`"
		}
		line := fmt.Sprintf("| `%s` | %s | %s | %s | %s |", role.Command, columns["Readtopic"], columns["Writetopic"], columns["Readgroup"], columns["Writetransactional id"])
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("docs/security.md lacks this line:\n%s", line)
		}
	}
}
