package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"jobstrom/security"
)

// client asks one hub or web server, again and again where that may help.
type client struct {
	options Options
	base    *url.URL
	isHub   bool
	token   security.Secret
	http    *http.Client
}

// mostRedirects is above what hubs need: to the model's new name, to the store, to its mirror.
const mostRedirects = 6

// newClient returns a client of a hub, to which the token goes, or of another server, which is asked without.
func newClient(base string, isHub bool, o Options) (*client, error) {
	u, err := parseAddress(base)
	if err != nil {
		return nil, fmt.Errorf("the address %w", err)
	}
	c := &client{options: o, base: u, isHub: isHub}
	if isHub && !o.Offline {
		if c.token, err = o.Token.Read(); err != nil {
			return nil, err
		}
	}
	o.TLS.Enabled = true
	config, err := o.TLS.Config()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	transport.ResponseHeaderTimeout = o.Idle
	transport.DisableCompression = true // lengths and ranges count the file's own bytes
	c.http = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return c, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// checkRedirect lets the token go to the very host and port that it was set for. net/http alone would show it to other ports and to subdomains.
func checkRedirect(next *http.Request, before []*http.Request) error {
	if len(before) >= mostRedirects {
		return fmt.Errorf("the hub redirects more than %d times", mostRedirects)
	}
	first := before[0].URL
	if first.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("the hub redirects from https to an address that is not")
	}
	if next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		next.Header.Del("Authorization")
	}
	next.Header.Del("Referer") // may hold a signature in its query
	return nil
}

// request makes a request for what lies below the base; the path is escaped and may have a query.
func (c *client) request(ctx context.Context, method, path string) (*http.Request, error) {
	address := c.base.Scheme + "://" + c.base.Host + strings.TrimSuffix(c.base.EscapedPath(), "/") + "/" + path
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, errors.New("the address is malformed")
	}
	request.Header.Set("User-Agent", "jobstrom")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	return request, nil
}

// transient is a failure that may pass.
type transient struct {
	err error
	// after is how long the hub asks to wait.
	after time.Duration
}

func (t *transient) Error() string { return t.err.Error() }
func (t *transient) Unwrap() error { return t.err }

// do sends a request. Errors name no address: those of stores hold signatures in their queries.
func (c *client) do(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if err == nil {
		return response, nil
	}
	if cause := context.Cause(request.Context()); cause != nil {
		return nil, cause
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) {
		return nil, fmt.Errorf("%w: the server does not speak TLS there: give its port with TLS, or an http address", err)
	}
	if hint := security.Diagnose(err, "hub"); hint != "" {
		return nil, fmt.Errorf("%w: %s", err, hint)
	}
	var dns *net.DNSError
	var alert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, fmt.Errorf("%w: is the endpoint right, and is there a network? (%w)", err, ErrUnreachable)
	case errors.As(err, &alert), strings.HasPrefix(err.Error(), "the hub redirects"), strings.HasPrefix(err.Error(), "net/http: invalid"):
		return nil, err
	}
	return nil, &transient{err: err}
}

// retry calls attempt until it succeeds, fails for good, or failed too often in a row without getting further.
func (c *client) retry(ctx context.Context, attempt func() (further bool, err error)) error {
	pause := c.options.Backoff
	for failures := 1; ; failures++ {
		further, err := attempt()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		passing, ok := errors.AsType[*transient](err)
		if !ok {
			return err
		}
		if further {
			failures, pause = 1, c.options.Backoff
		}
		if passing.after > c.options.LongestWait {
			return fmt.Errorf("%w, and asks to wait %s, longer than %s: pull again later (%w)", err, passing.after, c.options.LongestWait, ErrUnreachable)
		}
		if failures >= c.options.Attempts {
			return fmt.Errorf("%w (%w after %d attempts)", err, ErrUnreachable, failures)
		}
		wait := max(passing.after, pause/2+rand.N(pause/2+1)) // spread, so that many clients do not come back at once
		pause = min(2*pause, 30*time.Second)
		c.options.Logger.LogAttrs(ctx, slog.LevelInfo, "trying the hub again", slog.String("host", c.base.Host), slog.Duration("in", wait), slog.Any("error", err))
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// refusal turns an answer that is no success into an error: what the hub says, and what to do.
func (c *client) refusal(r *http.Response) error {
	said := fmt.Sprintf("status %d", r.StatusCode)
	if message := r.Header.Get("X-Error-Message"); message != "" {
		said += fmt.Sprintf(", %.200q", message)
	}
	code := r.Header.Get("X-Error-Code")
	if !c.isHub && r.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w: %s", ErrNotFound, said)
	}
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		if !c.isHub {
			return fmt.Errorf("%w: %s: addresses outside the hub are asked without a token", ErrDenied, said)
		}
		remedy := "it is private or gated, or does not exist: set a token with --hub-token-file, JOBSTROM_HUB_TOKEN or HF_TOKEN"
		if c.token != "" {
			remedy = "the token of --hub-token-file, JOBSTROM_HUB_TOKEN or HF_TOKEN is wrong or has no right to it, or it does not exist"
		}
		return fmt.Errorf("%w: %s: %s; a gated model's licence must be accepted on its page of the hub first", ErrDenied, said, remedy)
	case http.StatusNotFound:
		switch code {
		case "RevisionNotFound":
			return fmt.Errorf("revision %s %w: %s: see the hub for its branches and tags, or leave --revision out", c.options.Revision, ErrNotFound, said)
		case "EntryNotFound":
			return fmt.Errorf("the file %w: %s", ErrNotFound, said)
		}
		return fmt.Errorf("no such model or revision %s: %w: %s: check the spelling; a private model needs a token", c.options.Revision, ErrNotFound, said)
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return &transient{err: fmt.Errorf("the server answers %s", said), after: retryAfter(r.Header.Get("Retry-After"))}
	}
	if r.StatusCode >= 500 {
		return &transient{err: fmt.Errorf("the server answers %s", said), after: retryAfter(r.Header.Get("Retry-After"))}
	}
	return fmt.Errorf("the server answers %s: is the address right?", said)
}

// retryAfter reads seconds, or a date (RFC 9110, 10.2.3).
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

var errIdle = errors.New("nothing arrives any more")

// arriving returns a reader of an answer that gives the connection up when it brings nothing for the time Options.Idle.
// cancel ends the request, whose context is ctx; stop ends the watch.
func (c *client) arriving(ctx context.Context, body io.Reader, cancel context.CancelCauseFunc) (r io.Reader, stop func() bool) {
	timer := time.AfterFunc(c.options.Idle, func() { cancel(errIdle) })
	return readerFunc(func(p []byte) (int, error) {
		n, err := body.Read(p)
		if n > 0 {
			timer.Reset(c.options.Idle)
		}
		if err != nil && err != io.EOF && context.Cause(ctx) != nil {
			err = context.Cause(ctx)
		}
		return n, err
	}), timer.Stop
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// get returns a whole answer of at most so many bytes.
func (c *client) get(ctx context.Context, path string, most int64) (data []byte, err error) {
	err = c.retry(ctx, func() (bool, error) {
		one, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		request, err := c.request(one, http.MethodGet, path)
		if err != nil {
			return false, err
		}
		response, err := c.do(request)
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return false, c.refusal(response)
		}
		body, stop := c.arriving(one, response.Body, cancel)
		defer stop()
		if data, err = io.ReadAll(io.LimitReader(body, most+1)); err != nil {
			return false, &transient{err: err}
		}
		if int64(len(data)) > most {
			return false, fmt.Errorf("the answer has more than %d bytes (%w)", most, ErrTooLarge)
		}
		return false, nil
	})
	return data, err
}
