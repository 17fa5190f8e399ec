package mlflow

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stub answers as MLflow does, and keeps what was asked.
type stub struct {
	asked   []string
	bodies  map[string][]string
	answers map[string]func(http.ResponseWriter)
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.Path, "/prefix/api/2.0/")
	s.asked = append(s.asked, r.Method+" "+path)
	s.bodies[path] = append(s.bodies[path], string(body))
	user, password, ok := r.BasicAuth()
	if !ok {
		user = r.Header.Get("Authorization")
	}
	s.bodies["user"] = append(s.bodies["user"], user+":"+password)
	if answer, ok := s.answers[path]; ok {
		answer(w)
		return
	}
	switch path {
	case "mlflow/experiments/get-by-name":
		io.WriteString(w, `{"experiment":{"experiment_id":"7"}}`)
	case "mlflow/runs/create":
		io.WriteString(w, `{"run":{"info":{"run_id":"r1","artifact_uri":"mlflow-artifacts:/7/r1/artifacts"}}}`)
	default:
		io.WriteString(w, `{}`)
	}
}

func serve(t *testing.T, answers map[string]func(http.ResponseWriter)) (*stub, Options) {
	t.Helper()
	s := &stub{bodies: map[string][]string{}, answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, Options{URI: strings.Replace(server.URL, "http://", "http://me:secret@", 1) + "/prefix/"}
}

func refuse(status int, code string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error_code":%q,"message":"because"}`, code)
	}
}

func run(t *testing.T) Run {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report å.json")
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	return Run{
		Name: "n", Started: time.UnixMilli(1000), Finished: time.UnixMilli(2000), Params: map[string]string{"long": strings.Repeat("æ", 7000)}, Tags: map[string]string{"model": "m"},
		Metrics: map[string]float64{"top1": .5, "nothing": math.NaN()}, Curves: map[string][]Point{"loss": make([]Point, 1500)}, Files: []string{path},
	}
}

func TestLog(t *testing.T) {
	s, o := serve(t, nil)
	id, err := Log(t.Context(), o, run(t))
	if err != nil || id != "r1" {
		t.Fatalf("run %q, %v", id, err)
	}
	batches := s.bodies["mlflow/runs/log-batch"]
	if len(batches) != 4 {
		t.Fatalf("asked %v", s.asked)
	}
	var first struct {
		RunID   string `json:"run_id"`
		Metrics []metric
	}
	if err := json.Unmarshal([]byte(batches[0]), &first); err != nil || first.RunID != "r1" || len(first.Metrics) != 1000 || first.Metrics[0] != (metric{"top1", .5, 2000, 0}) {
		t.Errorf("the first batch has %d metrics, the first %v (%v)", len(first.Metrics), first.Metrics[0], err)
	}
	all := strings.Join(batches, "")
	if strings.Contains(all, "nothing") || strings.Count(all, "æ") != longestValue || !strings.Contains(all, `"tags":[{"key":"model","value":"m"}]`) {
		t.Error("the batches are not what was to be logged")
	}
	if got := s.bodies["mlflow-artifacts/artifacts/7/r1/artifacts/report å.json"]; len(got) != 1 || got[0] != "content" {
		t.Errorf("the file arrived as %q: %v", got, s.asked)
	}
	if got := s.bodies["mlflow/runs/update"][0]; !strings.Contains(got, `"FINISHED"`) || !strings.Contains(got, "2000") {
		t.Errorf("the end is %s", got)
	}
	if got := s.bodies["user"][0]; got != "me:secret" {
		t.Errorf("asked as %q", got)
	}
}

// An experiment is made where it is absent, by whoever comes first.
func TestExperiment(t *testing.T) {
	asked := 0
	late := func(w http.ResponseWriter) {
		if asked++; asked == 1 {
			refuse(404, "RESOURCE_DOES_NOT_EXIST")(w)
			return
		}
		io.WriteString(w, `{"experiment":{"experiment_id":"9"}}`)
	}
	s, o := serve(t, map[string]func(http.ResponseWriter){
		"mlflow/experiments/get-by-name": late, "mlflow/experiments/create": refuse(400, "RESOURCE_ALREADY_EXISTS"),
	})
	o.Experiment, o.Token = "mine", "t"
	if _, err := Log(t.Context(), o, run(t)); err != nil {
		t.Fatal(err)
	}
	if got := s.bodies["mlflow/runs/create"][0]; !strings.Contains(got, `"experiment_id":"9"`) || s.bodies["user"][0] != "Bearer t:" {
		t.Errorf("the run is %s, asked as %q", got, s.bodies["user"][0])
	}
	s, o = serve(t, map[string]func(http.ResponseWriter){
		"mlflow/experiments/get-by-name": refuse(404, "RESOURCE_DOES_NOT_EXIST"),
		"mlflow/experiments/create":      func(w http.ResponseWriter) { io.WriteString(w, `{"experiment_id":"3"}`) },
	})
	if _, err := Log(t.Context(), o, run(t)); err != nil || !strings.Contains(s.bodies["mlflow/runs/create"][0], `"experiment_id":"3"`) {
		t.Errorf("%v, %v", err, s.bodies["mlflow/runs/create"])
	}
}

func TestLogFailure(t *testing.T) {
	f := func(answers map[string]func(http.ResponseWriter), wantID string, want ...string) {
		t.Helper()
		s, o := serve(t, answers)
		id, err := Log(t.Context(), o, run(t))
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("Log = %v, want an error with %q", err, w)
			}
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
		if id != wantID {
			t.Errorf("run %q, want %q", id, wantID)
		}
		if updates := s.bodies["mlflow/runs/update"]; wantID != "" && answers["mlflow/runs/update"] == nil && (len(updates) != 1 || !strings.Contains(updates[0], "FAILED")) {
			t.Errorf("a run that was not logged whole ended with %v", updates)
		}
	}
	text := func(s string) func(http.ResponseWriter) { return func(w http.ResponseWriter) { io.WriteString(w, s) } }
	f(map[string]func(http.ResponseWriter){"mlflow/experiments/get-by-name": refuse(401, "")}, "", "status 401", Username, Token)
	f(map[string]func(http.ResponseWriter){"mlflow/experiments/get-by-name": text("<html>")}, "", "not MLflow's")
	f(map[string]func(http.ResponseWriter){"mlflow/runs/create": refuse(500, "INTERNAL_ERROR")}, "", "status 500, INTERNAL_ERROR: because")
	f(map[string]func(http.ResponseWriter){"mlflow/runs/log-batch": refuse(400, "INVALID_PARAMETER_VALUE")}, "r1", "logging run r1", "INVALID_PARAMETER_VALUE")
	f(map[string]func(http.ResponseWriter){"mlflow/runs/create": text(`{"run":{"info":{"run_id":"r1","artifact_uri":"s3://bucket/x"}}}`)}, "r1", "--serve-artifacts")
	f(map[string]func(http.ResponseWriter){"mlflow/runs/update": refuse(503, "")}, "r1", "status 503")

	for _, uri := range []string{"", "file:///tmp/mlruns", "databricks", "http://"} {
		if _, err := Log(t.Context(), Options{URI: uri}, Run{}); err == nil || !strings.Contains(err.Error(), TrackingURI) {
			t.Errorf("%q gives %v", uri, err)
		}
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	if _, err := Log(t.Context(), Options{URI: closed.URL}, Run{}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there gives %v", err)
	}
	_, o := serve(t, nil)
	lost := run(t)
	lost.Files = []string{"/nowhere/report.html"}
	if id, err := Log(t.Context(), o, lost); id != "r1" || err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a lost file gives %q, %v", id, err)
	}
}
