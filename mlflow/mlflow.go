// Package mlflow logs a run to an MLflow tracking server through its REST API: parameters, metrics and files.
//
// It knows no more of MLflow than a training needs. A run that could not be logged whole is marked as failed, where the server can
// still be told.
package mlflow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Environment variables that MLflow's own clients read.
const (
	TrackingURI = "MLFLOW_TRACKING_URI"
	Experiment  = "MLFLOW_EXPERIMENT_NAME"
	Username    = "MLFLOW_TRACKING_USERNAME"
	Password    = "MLFLOW_TRACKING_PASSWORD"
	Token       = "MLFLOW_TRACKING_TOKEN"
)

// Options says where the server is.
type Options struct {
	// URI is the server's address, http or https.
	URI string
	// Experiment is the name of the experiment, which is made where it is absent. Default: "jobstrom".
	Experiment string
	// Username and Password, or Token, say who asks; may be empty.
	Username, Password, Token string
	// Timeout bounds each request. Default: 30 s.
	Timeout time.Duration
}

// FromEnvironment reads the options as MLflow's own clients do. An empty URI says that nothing is to be logged.
func FromEnvironment() Options {
	return Options{URI: os.Getenv(TrackingURI), Experiment: os.Getenv(Experiment), Username: os.Getenv(Username), Password: os.Getenv(Password), Token: os.Getenv(Token)}
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	if o.Experiment == "" {
		o.Experiment = "jobstrom"
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
}

// Run is what is logged.
type Run struct {
	// Name is shown in lists.
	Name              string
	Started, Finished time.Time
	// Params are settings, Tags notes, Metrics figures. Figures that are not finite are left out.
	Params, Tags map[string]string
	Metrics      map[string]float64
	// Curves are figures by step, for example the loss.
	Curves map[string][]Point
	// Files are paths of files to keep with the run, by their base names.
	Files []string
}

// Point is a figure at a step.
type Point struct {
	Step  int
	Value float64
}

// Limits of one request of MLflow, and of a value.
const (
	metricsAtOnce = 1000
	pairsAtOnce   = 100
	longestValue  = 6000
)

// Log logs a run and returns its id. The id comes with the error where the run was made but not all of it was logged.
func Log(ctx context.Context, o Options, r Run) (id string, err error) {
	o.EnsureDefaults()
	c, err := newClient(o)
	if err != nil {
		return "", fmt.Errorf("logging to MLflow: %w", err)
	}
	experiment, err := c.experiment(ctx, o.Experiment)
	if err != nil {
		return "", fmt.Errorf("logging to MLflow at %s: %w", c.base, err)
	}
	var made struct {
		Run struct {
			Info struct {
				RunID       string `json:"run_id"`
				ArtifactURI string `json:"artifact_uri"`
			} `json:"info"`
		} `json:"run"`
	}
	if err := c.call(ctx, http.MethodPost, "runs/create", nil, map[string]any{"experiment_id": experiment, "run_name": r.Name, "start_time": r.Started.UnixMilli()}, &made); err != nil {
		return "", fmt.Errorf("logging to MLflow at %s: %w", c.base, err)
	}
	id = made.Run.Info.RunID
	err = errors.Join(c.values(ctx, id, r), c.files(ctx, made.Run.Info.ArtifactURI, r.Files))
	status := "FINISHED"
	if err != nil {
		status = "FAILED"
	}
	err = errors.Join(err, c.call(ctx, http.MethodPost, "runs/update", nil, map[string]any{"run_id": id, "status": status, "end_time": r.Finished.UnixMilli()}, nil))
	if err != nil {
		return id, fmt.Errorf("logging run %s to MLflow at %s: %w", id, c.base, err)
	}
	return id, nil
}

type client struct {
	base    *url.URL
	options Options
	http    *http.Client
}

func newClient(o Options) (*client, error) {
	base, err := url.Parse(o.URI)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("%s is not the address of a server: use one like http://127.0.0.1:5000", TrackingURI)
	}
	if base.User != nil { // never shown in errors
		password, _ := base.User.Password()
		o.Username, o.Password = cmp.Or(o.Username, base.User.Username()), cmp.Or(o.Password, password)
		base.User = nil
	}
	return &client{base: base, options: o, http: &http.Client{Timeout: o.Timeout}}, nil
}

// experiment returns the id of an experiment, and makes it where it is absent. Another trainer may make it at the same time.
func (c *client) experiment(ctx context.Context, name string) (string, error) {
	find := func() (string, error) {
		var found struct {
			Experiment struct {
				ID string `json:"experiment_id"`
			} `json:"experiment"`
		}
		err := c.call(ctx, http.MethodGet, "experiments/get-by-name", url.Values{"experiment_name": {name}}, nil, &found)
		return found.Experiment.ID, err
	}
	id, err := find()
	if !isCode(err, "RESOURCE_DOES_NOT_EXIST") {
		return id, err
	}
	var made struct {
		ID string `json:"experiment_id"`
	}
	err = c.call(ctx, http.MethodPost, "experiments/create", nil, map[string]any{"name": name}, &made)
	if isCode(err, "RESOURCE_ALREADY_EXISTS") {
		return find()
	}
	return made.ID, err
}

type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func pairs(m map[string]string) []pair {
	var all []pair
	for _, key := range slices.Sorted(maps.Keys(m)) {
		value := m[key]
		if runes := []rune(value); len(runes) > longestValue {
			value = string(runes[:longestValue])
		}
		all = append(all, pair{key, value})
	}
	return all
}

type metric struct {
	Key       string  `json:"key"`
	Value     float64 `json:"value"`
	Timestamp int64   `json:"timestamp"`
	Step      int     `json:"step"`
}

// values logs parameters, tags and metrics, as many at once as MLflow takes.
func (c *client) values(ctx context.Context, id string, r Run) error {
	var metrics []metric
	at := r.Finished.UnixMilli()
	add := func(key string, value float64, step int) {
		if !math.IsNaN(value) && !math.IsInf(value, 0) {
			metrics = append(metrics, metric{key, value, at, step})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.Metrics)) {
		add(key, r.Metrics[key], 0)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Curves)) {
		for _, p := range r.Curves[key] {
			add(key, p.Value, p.Step)
		}
	}
	log := func(field string, values any) error {
		return c.call(ctx, http.MethodPost, "runs/log-batch", nil, map[string]any{"run_id": id, field: values}, nil)
	}
	for part := range slices.Chunk(metrics, metricsAtOnce) {
		if err := log("metrics", part); err != nil {
			return err
		}
	}
	for field, values := range map[string]map[string]string{"params": r.Params, "tags": r.Tags} {
		for part := range slices.Chunk(pairs(values), pairsAtOnce) {
			if err := log(field, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// files puts files where the server keeps them for its clients.
func (c *client) files(ctx context.Context, artifacts string, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	at, err := url.Parse(artifacts)
	if err != nil || at.Scheme != "mlflow-artifacts" {
		return fmt.Errorf("the server keeps files at %q, which only it can reach: start it with --serve-artifacts", artifacts)
	}
	for _, path := range paths {
		if err := c.file(ctx, strings.Trim(at.Path, "/"), path); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) file(ctx context.Context, folder, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sending a file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("sending a file: %w", err)
	}
	request, err := c.request(ctx, http.MethodPut, "mlflow-artifacts/artifacts/"+folder+"/"+url.PathEscape(filepath.Base(path)), nil, file)
	if err != nil {
		return err
	}
	request.ContentLength = info.Size()
	request.Header.Set("Content-Type", "application/octet-stream")
	return c.do(request, nil)
}

// call asks the tracking API.
func (c *client) call(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	var data bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&data).Encode(body); err != nil {
			return fmt.Errorf("asking %s: %w", path, err)
		}
	}
	request, err := c.request(ctx, method, "mlflow/"+path, query, &data)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.do(request, answer)
}

func (c *client) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	address := c.base.JoinPath("api/2.0", path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, address.String(), body)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", path, err)
	}
	switch {
	case c.options.Token != "":
		request.Header.Set("Authorization", "Bearer "+c.options.Token)
	case c.options.Username != "":
		request.SetBasicAuth(c.options.Username, c.options.Password)
	}
	return request, nil
}

// Error is an answer of the server that refuses.
type Error struct {
	// Status is HTTP's, Code and Message are MLflow's; they may be empty.
	Status  int    `json:"-"`
	Code    string `json:"error_code"`
	Message string `json:"message"`
	path    string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("asking %s: status %d", e.path, e.Status)
	if e.Code != "" {
		text += fmt.Sprintf(", %s: %.200s", e.Code, e.Message)
	}
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		text += fmt.Sprintf("; set %s and %s, or %s", Username, Password, Token)
	}
	return text
}

func isCode(err error, code string) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Code == code
}

// longestAnswer is far above what the API answers to what is asked here.
const longestAnswer = 4 << 20

func (c *client) do(request *http.Request, answer any) error {
	path := strings.TrimPrefix(request.URL.Path, c.base.Path)
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("asking %s: %w", path, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err != nil {
		return fmt.Errorf("asking %s: %w", path, err)
	}
	if response.StatusCode/100 != 2 {
		refused := &Error{}
		if json.Unmarshal(data, refused) != nil {
			*refused = Error{}
		}
		refused.Status, refused.path = response.StatusCode, path
		return refused
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("asking %s: the answer is not MLflow's: %w", path, err)
	}
	return nil
}
