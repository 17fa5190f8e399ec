package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"jobstrom/server/api"
)

// call asks the flow's API and returns the status; a body of 2xx is decoded into answer where there is one.
func (f *flowUnderTest) call(method, path string, body, answer any) int {
	f.t.Helper()
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		must(f.t, err)
		sent = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(f.t.Context(), method, "http://127.0.0.1:"+f.web+path, sent)
	must(f.t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	must(f.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	must(f.t, err)
	if response.StatusCode/100 == 2 && answer != nil {
		if err := json.Unmarshal(data, answer); err != nil {
			f.t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
	if response.StatusCode >= 500 {
		f.t.Logf("%s %s: %s", method, path, data)
	}
	return response.StatusCode
}

// events follows the server-sent events until the test ends.
func (f *flowUnderTest) events() <-chan api.Event {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://127.0.0.1:"+f.web+"/v1/events", nil)
	must(f.t, err)
	response, err := http.DefaultClient.Do(request)
	must(f.t, err)
	f.t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("GET /v1/events: %s", response.Status)
	}
	events := make(chan api.Event, 1000)
	go func() { // ends with the response
		defer close(events)
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			var e api.Event
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is && json.Unmarshal([]byte(data), &e) == nil {
				events <- e
			}
		}
	}()
	return events
}

// A vacancy's whole way through the API: published, classified, found by meaning, labelled by a person; the live events, the models, drift and the dead letters beside it.
func TestAPIOfFlow(t *testing.T) {
	f := startFlow(t, "")
	events := f.events()
	const text = "Vi søger en sygeplejerske til nattevagter på medicinsk afdeling. Du skal pleje patienter, give medicin og måle blodtryk."
	publish := func(id, text string) {
		t.Helper()
		if status := f.call("POST", "/v1/vacancies", map[string]any{"id": id, "text": text}, nil); status != http.StatusAccepted {
			t.Fatalf("publishing: got %d", status)
		}
	}
	publish("api-1", text)
	publish("api-2", "Vi søger en murer til facaderenovering. Du skal mure facader og pudse vægge.")
	var v api.Vacancy
	if status := f.call("GET", "/v1/vacancies/api-1", nil, &v); status != http.StatusOK || v.State != "received" && v.State != "classified" {
		t.Errorf("just after it was published: got %d, %+v", status, v)
	}
	f.until("the vacancy is classified", func() bool {
		v = api.Vacancy{}
		return f.call("GET", "/v1/vacancies/api-1", nil, &v) == http.StatusOK && v.State == "classified"
	})
	if c := v.Classification; c == nil || c.Category != "Sundhed, omsorg og personlig pleje" || c.CategoryIndex != 16 || len(c.Probabilities) != 22 || c.Model == "" || v.ReceivedAt.IsZero() {
		t.Errorf("got %+v, %+v", v, v.Classification)
	}
	if status := f.call("GET", "/v1/vacancies/nobody", nil, nil); status != http.StatusNotFound {
		t.Errorf("an unknown vacancy: got %d", status)
	}
	deadline := time.After(4 * time.Minute)
	for seen := false; !seen; {
		select {
		case e := <-events:
			seen = e.Kind == "classified" && e.ID == "api-1" && e.CategoryIndex == 16 && e.Seconds >= 0 && e.Model != ""
		case <-deadline:
			t.Fatal("no event of the vacancy in 4 minutes")
		}
	}

	var near struct {
		Neighbours []api.Neighbour `json:"neighbours"`
	}
	f.until("both vacancies are found by meaning", func() bool {
		if status := f.call("POST", "/v1/similar", map[string]any{"text": text, "most": 2}, &near); status != http.StatusOK {
			t.Fatalf("searching: got %d", status)
		}
		return len(near.Neighbours) == 2
	})
	if n := near.Neighbours[0]; n.ID != "api-1" || n.Similarity < .7 || n.Similarity <= near.Neighbours[1].Similarity || n.CategoryIndex != 16 {
		t.Errorf("the nearest: got %+v", near.Neighbours)
	}
	f.until("the sink has made the table of similar vacancies", func() bool {
		return f.ask("SELECT count() FROM system.tables WHERE database = 'jobstrom' AND name LIKE 'similar_%' AND comment = 'filled'") == "1"
	})

	if status := f.call("POST", "/v1/feedback", map[string]any{"id": "api-1", "category": "Ledelse"}, nil); status/100 != 2 {
		t.Errorf("feedback: got %d", status)
	}
	f.until("the label is in ClickHouse", func() bool {
		return f.ask("SELECT category FROM jobstrom.labels WHERE vacancy_id = 'api-1'") == "Ledelse"
	})
	if f.call("GET", "/v1/vacancies/api-1", nil, &v); v.Label == nil || v.Label.CategoryIndex != 10 || v.Label.Source == "" {
		t.Errorf("the label: got %+v", v.Label)
	}
	if status := f.call("POST", "/v1/classify", map[string]any{"id": "api-0", "text": text}, nil); status != http.StatusOK {
		t.Errorf("classifying: got %d", status)
	}
	f.until("what the API predicted is in ClickHouse, apart", func() bool {
		return f.ask("SELECT groupArray((vacancy_id, category)) FROM jobstrom.api_predictions") == "[('api-0','Sundhed, omsorg og personlig pleje')]"
	})
	if f.call("POST", "/v1/similar", map[string]any{"text": text, "most": 10}, &near); len(near.Neighbours) != 2 {
		t.Errorf("got %+v, want what came by the flow alone", near.Neighbours)
	}

	var models api.Models
	if status := f.call("GET", "/v1/models", nil, &models); status != http.StatusOK || len(models.Models) != 1 || models.Models[0].Role != "champion" || models.Models[0].HasReport {
		t.Fatalf("models: got %d, %+v", status, models)
	}
	champion := models.Models[0].ID
	if status := f.call("POST", "/v1/models/"+champion+"/promote", map[string]any{"expect": strings.Repeat("0", 64), "reason": "x"}, nil); status != http.StatusNotFound && status != http.StatusConflict {
		t.Errorf("promoting in place of another: got %d", status)
	}
	if status := f.call("POST", "/v1/models/rollback", map[string]any{"expect": "", "reason": "x"}, nil); status != http.StatusNotFound {
		t.Errorf("rolling back from nothing: got %d", status)
	}
	for _, id := range []string{champion, "..%2F..%2Femployer.key", "%2e%2e"} {
		if status := f.call("GET", "/v1/models/"+id+"/report", nil, nil); status != http.StatusNotFound {
			t.Errorf("the report of %s: got %d", id, status)
		}
	}

	var seen api.Drift
	f.until("drift counts the vacancies", func() bool {
		if status := f.call("GET", "/v1/drift", nil, &seen); status != http.StatusOK {
			t.Fatalf("drift: got %d", status)
		}
		counted := uint64(0)
		for _, s := range seen.Shares {
			counted += s.Categories[16]
		}
		return counted > 0
	})
	if status := f.call("GET", "/v1/drift/report", nil, nil); status != http.StatusConflict {
		t.Errorf("a report of two vacancies: got %d", status)
	}

	publish("api-3", "?")
	var letters api.DeadLetters
	f.until("the dead letter is listed", func() bool {
		return f.call("GET", "/v1/deadletters", nil, &letters) == http.StatusOK && letters.Waiting == 1
	})
	if l := letters.Letters[0]; l.Stage != "extract" || l.Class != "nothing_extracted" || l.State != "waiting" {
		t.Errorf("got %+v", letters)
	}
	if f.call("GET", "/v1/vacancies/api-3", nil, &v); v.State != "refused" || v.Class != "nothing_extracted" {
		t.Errorf("a refused vacancy: got %+v", v)
	}
	var replayed api.Replayed
	place := letters.Letters[0].LetterPlace
	if status := f.call("POST", "/v1/deadletters/replay", map[string]any{"letters": []api.LetterPlace{{Partition: place.Partition, Offset: 999}}}, nil); status != http.StatusNotFound {
		t.Errorf("replaying what is not there: got %d", status)
	}
	for want := 1; want >= 0; want-- { // once
		if status := f.call("POST", "/v1/deadletters/replay", map[string]any{"letters": []api.LetterPlace{place}}, &replayed); status != http.StatusOK || replayed.Replayed != want || replayed.Skipped != 1-want {
			t.Errorf("replaying: got %d, %+v", status, replayed)
		}
	}
	f.until("the record is refused again, and both letters are listed", func() bool {
		return f.call("GET", "/v1/deadletters", nil, &letters) == http.StatusOK && len(letters.Letters) == 2 && letters.Waiting == 1
	})

	// A model that is trained here becomes the champion, and its report can be read.
	lines := ""
	for i := range 60 {
		day := fmt.Sprintf("2026-%02d-%02dT08:00:00Z", 9+i%2, 1+i/3)
		lines += fmt.Sprintf(`{"id":"l-%d","published_at":"%s","text":"Vi søger en murer nr. %[1]d til facader. Du skal mure og pudse vægge.","category":"Bygge og anlæg"}`+"\n", i, day)
		lines += fmt.Sprintf(`{"id":"m-%d","published_at":"%s","text":"Vi søger sygeplejerske nr. %[1]d til nattevagter. Du skal pleje patienter.","category":"Sundhed, omsorg og personlig pleje"}`+"\n", i, day)
	}
	f.shell("cat > var/labelled.jsonl <<'E'\n" + lines + "E\nbin/jobstrom produce var/labelled.jsonl")
	f.until("the labelled vacancies are in ClickHouse", func() bool { return f.ask("SELECT count() >= 120 FROM jobstrom.history") == "1" })
	if status := f.call("GET", "/v1/drift/report?since=2026-09-01T00:00:00Z&until=2026-11-01T00:00:00Z", nil, nil); status != http.StatusOK {
		t.Errorf("a report of two months: got %d", status)
	}
	f.shell("bin/jobstrom train --promote never")
	if status := f.call("GET", "/v1/models", nil, &models); status != http.StatusOK || len(models.Models) != 2 {
		t.Fatalf("models: got %d, %+v", status, models)
	}
	challenger := models.Models[1]
	if challenger.Role != "challenger" || !challenger.HasReport || challenger.Rows == 0 {
		t.Errorf("got %+v", challenger)
	}
	if status := f.call("GET", "/v1/models/"+challenger.ID+"/report", nil, nil); status != http.StatusOK {
		t.Errorf("the report: got %d", status)
	}
	var event api.ModelEvent
	promote := map[string]any{"expect": champion, "reason": "better"}
	if status := f.call("POST", "/v1/models/"+challenger.ID+"/promote", promote, &event); status != http.StatusOK || event.Model != challenger.ID || event.Previous != champion || !strings.HasPrefix(event.Reason, "better (asked by ") {
		t.Errorf("promoting: got %d, %+v", status, event)
	}
	if status := f.call("POST", "/v1/models/"+challenger.ID+"/promote", promote, nil); status != http.StatusConflict {
		t.Errorf("promoting on what was true before: got %d", status)
	}
	if status := f.call("POST", "/v1/models/rollback", map[string]any{"expect": challenger.ID, "reason": "worse"}, &event); status != http.StatusOK || event.Model != champion {
		t.Errorf("rolling back: got %d, %+v", status, event)
	}
	if status := f.call("POST", "/v1/models/rollback", map[string]any{"expect": challenger.ID, "reason": "twice"}, nil); status != http.StatusConflict {
		t.Errorf("rolling back on what was true before: got %d", status)
	}
	if f.call("GET", "/v1/models", nil, &models); models.Models[0].ID != champion || len(models.History) < 3 {
		t.Errorf("got %+v", models)
	}
}
