package samples

import (
	"bufio"
	"io"
	"os"
	"strings"
	"testing"

	"jobstrom/schemas"
)

func read(t *testing.T, in io.Reader) []*schemas.Vacancy {
	t.Helper()
	var all []*schemas.Vacancy
	lines := bufio.NewScanner(in)
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		v, err := schemas.DecodeVacancy(schemas.JSON, lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%d vacancies, %v", len(all), err)
	}
	return all
}

// TestSamplesLieApart: an employer, an id or a text in two places would make the unseen samples a little seen. Every
// category has the same number of each file, so that the shares say nothing.
func TestSamplesLieApart(t *testing.T) {
	history, err := os.Open("history.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer history.Close()
	taxonomy := schemas.Jobnet()
	seenIn := map[string]string{}
	for _, file := range []struct {
		name      string
		vacancies []*schemas.Vacancy
	}{{"vacancies", read(t, Vacancies())}, {"unseen", read(t, Unseen())}, {"history", read(t, history)}} {
		count := make([]int, len(taxonomy.Categories))
		own := map[string]bool{}
		for _, v := range file.vacancies {
			category, err := taxonomy.Find(v.Category)
			if err != nil {
				t.Errorf("%s: %s", v.Id, err)
				continue
			}
			count[category.Index]++
			for _, key := range []string{"id " + v.Id, "text " + v.Text} {
				if own[key] {
					t.Errorf("%s: %.60q occurs twice in %s", v.Id, key, file.name)
				}
				own[key] = true
			}
			own["employer "+strings.ToLower(v.Employer)] = true
		}
		for key := range own {
			if other, ok := seenIn[key]; ok {
				t.Errorf("%.60q is in %s and in %s", key, other, file.name)
			}
			seenIn[key] = file.name
		}
		for c, n := range count {
			if n != len(file.vacancies)/len(count) {
				t.Errorf("%s has %d of %s, want %d", file.name, n, taxonomy.Categories[c].Name, len(file.vacancies)/len(count))
			}
		}
	}
}
