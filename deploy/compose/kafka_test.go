package compose_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/cluster"
	"jobstrom/cluster/clustertest"
)

// The image turns KAFKA_LOG_DIRS into log.dirs and formats the data folder; Kafka must accept the whole.
func TestKafkaTakesItsSettings(t *testing.T) {
	libs := clustertest.Libs(t)
	var properties strings.Builder
	for name, value := range load(t).Services["kafka"].Environment {
		key, ours := strings.CutPrefix(name, "KAFKA_")
		if !ours || value == nil {
			t.Fatalf("%s is no setting of Kafka", name)
		}
		key = strings.ToLower(strings.ReplaceAll(key, "_", "."))
		if key == "log.dirs" {
			*value = filepath.Join(t.TempDir(), "data")
		}
		fmt.Fprintf(&properties, "%s=%s\n", key, *value)
	}
	file := filepath.Join(t.TempDir(), "server.properties")
	must(t, os.WriteFile(file, []byte(properties.String()), 0o644))
	out, err := cluster.Tool(t.Context(), libs, "kafka.tools.StorageTool", "format", "--cluster-id", "am9ic3Ryb20tY2x1c3Rlcg", "--config", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Formatting metadata directory") {
		t.Fatalf("%v\n%s", err, out)
	}
}
