package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"jobstrom/drift"
)

// Past vacancies of two years are imported from somebody's CSV, and compared on the same day.
func (f *flowUnderTest) history(t *testing.T) {
	f.t = t
	kinds := []struct{ title, text, label, group string }{
		{"Murer", "Vi søger en murer til facaderenovering. Du skal mure facader og pudse vægge.", "Bygge og anlæg", "Håndværk"},
		{"Sygeplejerske", "Vi søger en sygeplejerske til nattevagter. Du skal pleje patienter og måle blodtryk.", "Sundhed, omsorg og personlig pleje", "Pleje"},
	}
	lines := []string{"startdt;stillingsbetegnelse;annoncetekst;label;erhvervsgruppe_txt"}
	for i := range 80 {
		// In 2022 three of four are masons, in 2024 one of four.
		year, kind := 2022+2*(i%2), kinds[(i/2%4+3)/4]
		if year == 2024 {
			kind = kinds[1-(i/2%4+3)/4]
		}
		lines = append(lines, fmt.Sprintf("%02d-%02d-%d;%s;%s Opslag %d.;%s;%s", 1+i%28, 1+i/2%12, year, kind.title, kind.text, i, kind.label, kind.group))
	}
	f.shell("cat > var/history.csv <<'E'\n" + strings.Join(lines, "\n") + "\nE\n")
	f.shell("bin/jobstrom produce var/history.csv --columns title=stillingsbetegnelse,text=annoncetekst,published_at=startdt,category=label --attributes erhvervsgruppe_txt")
	f.until("they are in ClickHouse", func() bool {
		return f.ask("SELECT count() FROM jobstrom.embeddings AS e JOIN jobstrom.predictions AS p USING (raw_topic_id, raw_partition, raw_offset) JOIN jobstrom.labels AS l ON l.vacancy_id = p.vacancy_id WHERE toYear(e.published_at) IN (2022, 2024)") == "80"
	})
	var found drift.Comparison
	must(t, json.Unmarshal([]byte(f.shell("bin/jobstrom drift report --reference 2022 --current 2024 --format json --out var/years.html")), &found))
	if found.Verdict != "drift" || found.Vacancies != [2]int{40, 40} || found.Summary.Rows != [2]int{40, 40} || found.Map == nil || len(found.Nearest) == 0 {
		t.Errorf("got %s, %v vacancies, %+v, map %v, %d examples", found.Verdict, found.Vacancies, found.Summary, found.Map != nil, len(found.Nearest))
	}
	for _, name := range []string{"label", "attribute.erhvervsgruppe_txt"} { // the classifier of the day may say anything of them
		i := slices.IndexFunc(found.Columns, func(c drift.Column) bool { return c.Name == name })
		if i < 0 || found.Columns[i].Verdict != "drift" {
			t.Errorf("%s is none of the columns that drifted", name)
		}
	}
	if page := f.shell("cat var/years.html"); !strings.Contains(page, "erhvervsgruppe_txt") || !strings.Contains(page, "Map of the embeddings") || strings.Contains(page, "facaderenovering") {
		t.Errorf("the page of %d bytes lacks the attribute or the map, or shows a text", len(page))
	}
}
