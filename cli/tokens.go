package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/server/access"
)

func (a *app) tokensCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "Make, list and revoke the tokens that may use the API",
		Long: `Who may use the web pages and the API of up and serve stands in the file that --tokens names: the names of tokens, what they may, until when, and their SHA-256.
The tokens themselves are shown once and kept nowhere. Servers that run follow the file.

  classify  classify vacancies, read what was classified, models and drift
  publish   publish vacancies and labels to Kafka
  admin     promote and roll back models, read and replay dead letters; includes the others`,
		Example: `  jobstrom tokens new intranet --tokens tokens.yaml --scope classify,publish --expires 90d
  jobstrom up --tokens tokens.yaml --http 0.0.0.0:8080
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/v1/models`,
	}
	cmd.AddCommand(a.tokensNewCommand(), a.tokensListCommand(), a.tokensRevokeCommand())
	return cmd
}

// tokensPath returns the file that the settings name.
func (a *app) tokensPath() (string, error) {
	if a.config.Tokens == "" {
		return "", fmt.Errorf("which file of tokens? Name it with --tokens FILE, in jobstrom.yaml or in JOBSTROM_TOKENS (%w)", errUsage)
	}
	return a.config.Tokens, nil
}

func (a *app) tokensNewCommand() *cobra.Command {
	var scopes []string
	var expires string
	var rate float64
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a token and show it once",
		Long:  "Make a token and show it once: alone on standard output, what is to know about it on standard error. The file is made if there is none.",
		Args:  args(cobra.ExactArgs(1)),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringSliceVar(&scopes, "scope", []string{string(access.Classify)}, "`scopes`: classify, publish, admin")
	cmd.Flags().StringVar(&expires, "expires", "90d", "`time` after which it ends, like 12h, 90d or 52w, or never")
	cmd.Flags().Float64Var(&rate, "rate", 0, "`requests` a second that it may make, 0 any number (default what --rate-limit says)")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		path, err := a.tokensPath()
		if err != nil {
			return err
		}
		parsed, scopeErr := access.ParseScopes(scopes)
		lasts, expiresErr := parseLifetime(expires)
		if err := errors.Join(scopeErr, expiresErr); err != nil {
			return fmt.Errorf("%w (%w)", err, errUsage)
		}
		now, ends := time.Now(), time.Time{}
		if lasts > 0 {
			ends = now.Add(lasts)
		}
		token, secret := access.NewToken(given[0], parsed, now, ends)
		if cmd.Flags().Changed("rate") {
			token.Rate = &rate
		}
		if err := token.Validate(); err != nil {
			return fmt.Errorf("%w (%w)", err, errUsage)
		}
		err = access.ChangeTokens(path, func(tokens []access.Token) ([]access.Token, error) {
			if slices.ContainsFunc(tokens, func(t access.Token) bool { return t.Name == token.Name }) {
				return nil, fmt.Errorf("%s holds a token %s already: choose another name, or end it with jobstrom tokens revoke %s", path, token.Name, token.Name)
			}
			return append(tokens, token), nil
		})
		if err != nil {
			return err
		}
		if a.format == "json" {
			return json.NewEncoder(a.out).Encode(struct {
				access.Token
				Secret string `json:"token"`
			}{token, secret.Reveal()})
		}
		fmt.Fprintln(a.out, secret.Reveal())
		fmt.Fprintf(a.err, "%s may %s; it ends: %s. It is shown this once: %s keeps its SHA-256 alone.\n", token.Name, joinScopes(token.Scopes), tokenEnd(token, now), path)
		return nil
	}
	return cmd
}

func (a *app) tokensListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens, never themselves",
		Args:  args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		path, err := a.tokensPath()
		if err != nil {
			return err
		}
		tokens, err := access.ReadTokens(path)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: jobstrom tokens new NAME makes it", err)
		} else if err != nil {
			return err
		}
		now := time.Now()
		if a.format == "json" {
			type listed struct {
				access.Token
				Expired bool `json:"expired"`
			}
			all := []listed{}
			for _, t := range tokens {
				all = append(all, listed{t, t.Expired(now)})
			}
			return json.NewEncoder(a.out).Encode(all)
		}
		if len(tokens) == 0 {
			fmt.Fprintf(a.out, "no tokens in %s: nobody is let in with one\n", path)
			return nil
		}
		table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tSCOPES\tMADE\tENDS\tRATE")
		for _, t := range tokens {
			rate := "as set"
			if t.Rate != nil {
				rate = strconv.FormatFloat(*t.Rate, 'g', -1, 64) + "/s"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", t.Name, joinScopes(t.Scopes), t.Created.Format(time.DateOnly), tokenEnd(t, now), rate)
		}
		return table.Flush()
	}
	return cmd
}

func (a *app) tokensRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME...",
		Short: "End tokens: servers that run refuse them from the next request on",
		Args:  args(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, names []string) error {
			path, err := a.tokensPath()
			if err != nil {
				return err
			}
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("revoking tokens: %w", err)
			}
			err = access.ChangeTokens(path, func(tokens []access.Token) ([]access.Token, error) {
				for _, name := range names {
					if !slices.ContainsFunc(tokens, func(t access.Token) bool { return t.Name == name }) {
						return nil, fmt.Errorf("%s holds no token %s, nothing was revoked: see jobstrom tokens list", path, name)
					}
				}
				return slices.DeleteFunc(tokens, func(t access.Token) bool { return slices.Contains(names, t.Name) }), nil
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s revoked\n", strings.Join(names, ", "))
			return nil
		},
	}
}

func joinScopes(scopes []access.Scope) string {
	var names []string
	for _, s := range scopes {
		names = append(names, string(s))
	}
	return strings.Join(names, ",")
}

// tokenEnd says when a token ends.
func tokenEnd(t access.Token, now time.Time) string {
	switch {
	case t.Expires.IsZero():
		return "never"
	case t.Expired(now):
		return "ended " + t.Expires.Format(time.DateOnly)
	}
	return t.Expires.Format(time.DateOnly)
}

// parseLifetime reads a time like 12h, 90d or 52w; never is 0.
func parseLifetime(s string) (time.Duration, error) {
	if s == "never" {
		return 0, nil
	}
	units := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	if len(s) > 1 && units[s[len(s)-1]] != 0 {
		n, err := strconv.Atoi(s[:len(s)-1])
		unit := units[s[len(s)-1]]
		if err == nil && n > 0 && time.Duration(n) <= 100*365*24*time.Hour/unit {
			return time.Duration(n) * unit, nil
		}
	}
	return 0, fmt.Errorf("--expires is %q: use a time like 12h, 90d or 52w, at most 100 years, or never", s)
}
