package fetch

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"jobstrom/models"
	"jobstrom/security"
)

// DefaultEndpoint is the hub that names of models mean where no other is set.
const DefaultEndpoint = "https://huggingface.co"

// DefaultGraph is where exports for ONNX Runtime lie in most repositories.
const DefaultGraph = "onnx/model.onnx"

// Options says where files come from and where they go. The zero value of each field but Cache has a default.
type Options struct {
	// Endpoint is the hub's address. Default: DefaultEndpoint.
	Endpoint string
	// Token shows the hub who asks. It is sent to no other host. Default: none.
	Token security.Credential
	// TLS names the authorities that may sign the hub's certificate. Default: the machine's.
	TLS security.TLS
	// Revision is a branch, a tag or a commit. Default: main.
	Revision string
	// Graph is the ONNX file that is wanted, by its path in the repository. Default: DefaultGraph.
	Graph string
	// Precision is that of an extractor's graphs: fp32 or fp16. Default: fp32.
	Precision string
	// Cache is the folder of the cache.
	Cache string
	// Dir is a folder to put the files into besides. Default: none, they stay in the cache.
	Dir string
	// ExtractorDir is Dir for a model that turns out to be an extractor. Default: Dir.
	ExtractorDir string
	// Offline uses the cache and nothing else.
	Offline bool
	// MaxBytes bounds the sum of the files. Default: 8 GiB.
	MaxBytes int64
	// Attempts is how often a request is tried that brings nothing new. Default: 5.
	Attempts int
	// Backoff is the pause before the second attempt; each further one doubles, up to 30 s. Default: 500 ms.
	Backoff time.Duration
	// LongestWait bounds what the hub may ask to wait (Retry-After). Default: 5 minutes.
	LongestWait time.Duration
	// Idle is the time without a byte after which a connection counts as broken. Default: 1 minute.
	Idle time.Duration
	// Progress, unless nil, is told how many bytes of a file have arrived, of how many (0: nobody knows).
	Progress func(file string, done, total int64)
	// Logger is told of waiting and retrying. Default: none.
	Logger *slog.Logger
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	if o.Endpoint == "" {
		o.Endpoint = DefaultEndpoint
	}
	if o.Revision == "" {
		o.Revision = "main"
	}
	if o.Graph == "" {
		o.Graph = DefaultGraph
	}
	if o.Precision == "" {
		o.Precision = models.FP32
	}
	if o.ExtractorDir == "" {
		o.ExtractorDir = o.Dir
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 30
	}
	if o.Attempts == 0 {
		o.Attempts = 5
	}
	if o.Backoff == 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.LongestWait == 0 {
		o.LongestWait = 5 * time.Minute
	}
	if o.Idle == 0 {
		o.Idle = time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// dir is where the files are put besides the cache; empty for nowhere.
func (o Options) dir(extractor bool) string {
	if extractor {
		return o.ExtractorDir
	}
	return o.Dir
}

// Validate reports every violation, with the value and what it must be.
func (o Options) Validate() error {
	var wrong []error
	check := func(ok bool, format string, values ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, values...))
		}
	}
	if _, err := parseAddress(o.Endpoint); err != nil {
		wrong = append(wrong, fmt.Errorf("the hub's endpoint %w", err))
	} else if !o.Token.IsZero() && strings.HasPrefix(o.Endpoint, "http:") {
		u, _ := url.Parse(o.Endpoint)
		check(isLoopback(u.Hostname()), "the hub's endpoint (%s) must be https: a token would be sent in the clear", o.Endpoint)
	}
	wrong = append(wrong, o.Token.Validate("hub-token"))
	check(isRevision(o.Revision), "revision (%.100q) must be a branch, a tag or a commit", o.Revision)
	check(strings.HasSuffix(o.Graph, ".onnx"), "graph (%.100q) must be an .onnx file of the repository", o.Graph)
	if err := checkFileName(o.Graph); err != nil {
		wrong = append(wrong, fmt.Errorf("graph: %w", err))
	}
	check(slices.Contains(models.Precisions(), o.Precision), "precision (%.20q) must be %s", o.Precision, strings.Join(models.Precisions(), " or "))
	check(o.Cache != "", "the cache must name a folder")
	check(o.MaxBytes > 0, "the most bytes (%d) must be > 0", o.MaxBytes)
	check(o.Attempts > 0 && o.Attempts <= 100, "attempts (%d) must be 1 to 100", o.Attempts)
	check(o.Backoff > 0 && o.LongestWait > 0 && o.Idle > 0, "backoff (%s), longest wait (%s) and idle (%s) must be > 0", o.Backoff, o.LongestWait, o.Idle)
	return errors.Join(wrong...)
}

// parseAddress parses the address of a hub or of a folder on the web. Errors do not quote it: it may hold a password.
func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("is no address: use one like https://hub.example.com")
	case u.User != nil:
		return nil, errors.New("must hold no user or password: a token is set apart")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, errors.New("must be an https address")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must have no query and no fragment")
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
