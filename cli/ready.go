package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/health"
)

func (a *app) readyCommand() *cobra.Command {
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "ready [URL]",
		Short: "Ask a jobstrom that runs whether it is ready: status 0 when it is",
		Long: `Ask a jobstrom that runs whether it is ready, by its /readyz, once. The status is 0 when it is, and else 1, with its problems and what to do about them.

Without a URL the process with these settings on this machine is asked: at --metrics-address, or where there is none at --http. So jobstrom ready is the health check of a container,
which has no shell and no curl. It loads no model and opens no connection but this one.`,
		Example: `  jobstrom ready --metrics-address 0.0.0.0:9400
  jobstrom ready http://embed-1:9400`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			address, err := a.readyURL(given)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), within)
			defer cancel()
			if err := askReady(ctx, address); err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, "ready")
			return err
		},
	}
	cmd.Flags().DurationVar(&within, "within", 5*time.Second, "`time` that the answer may take")
	return cmd
}

// readyURL returns where to ask: what was given, or where a process with these settings answers.
func (a *app) readyURL(given []string) (string, error) {
	if len(given) == 1 {
		u, err := url.Parse(given[0])
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return "", fmt.Errorf("%q is no address to ask: use one like http://127.0.0.1:9400 (%w)", given[0], errUsage)
		}
		return u.JoinPath("readyz").String(), nil
	}
	scheme, address := "http", a.config.MetricsAddress
	if address == "" {
		if address = a.config.HTTP; a.config.HTTPCert != "" {
			scheme = "https"
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err // validated
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens on every address of this machine
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/readyz", nil
}

// askReady returns nil when /readyz answers 200, and else what it says.
func askReady(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	// Not a proxy of the environment: it would answer for itself.
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request)
	if err != nil {
		return fmt.Errorf("asking whether it is ready: %w: is it running, and is this where it answers (--metrics-address, else --http)?", err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", address, err)
	}
	var answer struct{ Problems []health.Problem }
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Problems) == 0 {
		return fmt.Errorf("%s answers %s, which is no answer of a jobstrom: is another program there?", address, response.Status)
	}
	problems := []error{fmt.Errorf("asking %s: not ready", address)}
	for _, p := range answer.Problems {
		problems = append(problems, errors.New(p.String()))
	}
	return errors.Join(problems...)
}
