package cli

import (
	"strings"
	"testing"
)

// Partitions with nothing to say share a line; the others are named, with what is the matter.
func TestLagTable(t *testing.T) {
	line := func(partition int32, state string, records int64, standing float64, worker string) lagLine {
		return lagLine{Stage: "embed", Topic: "vacancies.extracted", Partition: partition, State: state, Records: records, Standing: standing, Worker: worker}
	}
	var out strings.Builder
	writeLag(&out, []lagLine{
		line(0, "idle", 0, 0, "a"), line(1, "idle", 0, 0, "a"), line(2, "stuck", 87, 41, "b"), line(3, "idle", 0, 0, "a"),
		line(4, "idle", 0, 0, ""), line(5, "nobody", 3, 0, ""),
	})
	got := strings.Join(strings.Fields(strings.NewReplacer("│", "", "─", "").Replace(out.String())), " ")
	for _, want := range []string{
		"embed vacancies.extracted 0 to 1 idle 0",
		"embed vacancies.extracted 2 stuck for 41s 87 0 0 b",
		"embed vacancies.extracted 3 idle 0 0 0 a",
		"embed vacancies.extracted 4 idle 0 0 0 embed",
		"embed vacancies.extracted 5 nobody 3",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
