//go:build peers

package mlflow

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// startServer runs MLflow's own server, which keeps its runs and files in a temporary folder.
func startServer(t *testing.T) Options {
	t.Helper()
	program, err := filepath.Abs("../.native/peers/bin/mlflow")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	dir := t.TempDir()
	var log bytes.Buffer
	cmd := exec.Command(program, "server", "--host", "127.0.0.1", "--port", port, "--workers", "1",
		"--backend-store-uri", "sqlite:///"+filepath.Join(dir, "runs.db"), "--artifacts-destination", filepath.Join(dir, "files"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	cmd.Env = append(os.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: make test-peers installs it", err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with its workers
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	o := Options{URI: "http://127.0.0.1:" + port}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for ; ; time.Sleep(100 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatal("the server does not answer")
		}
		if response, err := http.Get(o.URI + "/health"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return o
			}
		}
	}
}

// TestRealServer logs a run and reads it back from MLflow.
func TestRealServer(t *testing.T) {
	o := startServer(t)
	r := run(t)
	r.Params = map[string]string{"l2": "0.001", "long": r.Params["long"]}
	for i := range 120 {
		r.Params[fmt.Sprintf("setting %d", i)] = "x"
	}
	for i := range r.Curves["loss"] {
		r.Curves["loss"][i] = Point{Step: i, Value: 1 / float64(i+1)}
	}
	id, err := Log(t.Context(), o, r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Log(t.Context(), o, r) // into the same experiment
	if err != nil || again == id {
		t.Fatalf("the second run is %s, %v", again, err)
	}
	o.EnsureDefaults()
	c, err := newClient(o)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Run struct {
			Info struct {
				Status    string `json:"status"`
				RunName   string `json:"run_name"`
				StartTime int64  `json:"start_time"`
				EndTime   int64  `json:"end_time"`
			}
			Data struct {
				Params, Tags []pair
				Metrics      []metric
			}
		}
	}
	if err := c.call(t.Context(), http.MethodGet, "runs/get", url.Values{"run_id": {id}}, nil, &got); err != nil {
		t.Fatal(err)
	}
	params, metrics, tags := map[string]string{}, map[string]metric{}, map[string]string{}
	for _, p := range got.Run.Data.Params {
		params[p.Key] = p.Value
	}
	for _, p := range got.Run.Data.Tags {
		tags[p.Key] = p.Value
	}
	for _, m := range got.Run.Data.Metrics {
		metrics[m.Key] = m
	}
	if i := got.Run.Info; i.Status != "FINISHED" || i.RunName != "n" || i.StartTime != 1000 || i.EndTime != 2000 {
		t.Errorf("the run is %+v", i)
	}
	if len(params) != 122 || params["l2"] != "0.001" || len([]rune(params["long"])) != longestValue || tags["model"] != "m" {
		t.Errorf("%d parameters, l2 %q, %d characters, tags %v", len(params), params["l2"], len([]rune(params["long"])), tags)
	}
	if len(metrics) != 2 || metrics["top1"].Value != .5 || metrics["loss"].Step != 1499 {
		t.Errorf("metrics %v", metrics)
	}
	var history struct{ Metrics []metric }
	if err := c.call(t.Context(), http.MethodGet, "metrics/get-history", url.Values{"run_id": {id}, "metric_key": {"loss"}}, nil, &history); err != nil || len(history.Metrics) != 1500 {
		t.Errorf("the curve has %d points (%v)", len(history.Metrics), err)
	}
	query := url.Values{"run_uuid": {id}, "path": {filepath.Base(r.Files[0])}}
	response, err := http.Get(o.URI + "/get-artifact?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if data, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || string(data) != "content" {
		t.Errorf("the file is %q, status %d (%v)", data, response.StatusCode, err)
	}
	// What the server refuses is told, and the run marked.
	r.Params = map[string]string{"not/{allowed}": "x"}
	id, err = Log(t.Context(), o, r)
	if !isCode(err, "INVALID_PARAMETER_VALUE") || id == "" {
		t.Errorf("a name that is not allowed gives %q, %v", id, err)
	}
	if err := c.call(t.Context(), http.MethodGet, "runs/get", url.Values{"run_id": {id}}, nil, &got); err != nil || got.Run.Info.Status != "FAILED" {
		t.Errorf("its run is %s (%v)", got.Run.Info.Status, err)
	}
}
