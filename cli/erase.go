package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"jobstrom/consumers"
	"jobstrom/producers"
)

func (a *app) eraseCommand() *cobra.Command {
	var verify bool
	cmd := &cobra.Command{
		Use:   "erase ID...",
		Short: "Erase vacancies: by their ids, or ids line by line from stdin (-)",
		Long: `Erase vacancies from the flow. A tombstone goes to every partition of the raw topic and from there through all topics; the sink deletes their
rows from ClickHouse, and no replay brings them back. On Kafka their records stay until they expire. A vacancy that is published again
afterwards counts as a new one. An id that was never published is no error.

With --verify nothing is erased: every topic and table is read for what is left of the vacancies, which takes time on large topics. The
exit status is 0 when they were erased and nothing is left but what expires by itself.`,
		Example: "  jobstrom erase tavle-1\n  jobstrom erase - < ids.txt\n  jobstrom erase --verify tavle-1",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	a.formatFlag(cmd)
	cmd.Flags().BoolVar(&verify, "verify", false, "say what is left of the vacancies instead, and when it expires")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		ids, err := a.readIDs(given)
		if err == nil && len(ids) == 0 {
			err = errors.New("there is none")
		}
		if err == nil {
			err = producers.CheckIDs(ids)
		}
		if err != nil {
			return fmt.Errorf("reading the ids: %w (%w)", err, errUsage)
		}
		client, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		client.Close()
		if verify {
			return a.verifyErasure(cmd.Context(), ids)
		}
		return a.erase(cmd.Context(), ids)
	}
	return cmd
}

// readIDs returns the ids that were given, each once; "-" stands for the lines of stdin.
func (a *app) readIDs(given []string) ([]string, error) {
	var ids []string
	for _, id := range given {
		if id != "-" {
			ids = append(ids, id)
			continue
		}
		lines := bufio.NewScanner(a.in)
		for lines.Scan() {
			if id := strings.TrimSpace(lines.Text()); id != "" {
				ids = append(ids, id)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(ids, func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	}), nil
}

func (a *app) erase(ctx context.Context, ids []string) error {
	bar := a.progress("erasing", len(ids), io.Discard)
	erased := 0
	partitions, err := producers.Erase(ctx, producers.EraseOptions{Kafka: a.kafkaOptions(), Erased: func(n int) {
		erased += n
		bar.add(n)
	}}, ids)
	bar.done()
	if a.format == "json" {
		_ = json.NewEncoder(a.out).Encode(map[string]any{"vacancies": len(ids), "erased": erased, "partitions": partitions})
	} else if erased > 0 {
		fmt.Fprintf(a.out, "%d of %d vacancies: tombstones in all %d partitions; jobstrom erase --verify ID says what is left\n", erased, len(ids), partitions)
	}
	return err
}

// errNotErased is the outcome of a verification that found something.
var errNotErased = errors.New("something is left that does not expire by itself, see above")

func (a *app) verifyErasure(ctx context.Context, ids []string) error {
	w, err := a.dialWarehouse(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	reading := &bar{plain: io.Discard}
	verifications, err := consumers.Verify(ctx, consumers.VerifyOptions{
		Kafka: a.kafkaOptions(), Warehouse: w,
		Start:  func(n int64) { reading = a.progress("reading", int(n), io.Discard) },
		Passed: func(n int64) { reading.add(int(n)) },
	}, ids)
	reading.done()
	if err != nil {
		return err
	}
	if a.format == "json" {
		err = a.printVerificationsJSON(verifications)
	} else {
		a.printVerifications(verifications)
	}
	if err == nil && slices.ContainsFunc(verifications, func(v consumers.Verification) bool { return !v.Clean() }) {
		err = errNotErased
	}
	return err
}

// verificationTime shows times in UTC, because retention counts in days.
const verificationTime = "2006-01-02 15:04:05 UTC"

func (a *app) printVerifications(verifications []consumers.Verification) {
	for _, v := range verifications {
		if v.ErasedAt.IsZero() {
			fmt.Fprintf(a.out, "%s was never erased: jobstrom erase erases it\n", v.ID)
		} else {
			fmt.Fprintf(a.out, "%s was erased at %s\n", v.ID, v.ErasedAt.UTC().Format(verificationTime))
		}
		t := a.table("topic or table", "left", "until", "published since")
		for _, trace := range v.Traces {
			row := table.Row{trace.Place, "gone", "", ""}
			if trace.Old > 0 {
				row[1], row[2] = trace.Old, state(v, trace)
			}
			if trace.New > 0 {
				row[3] = trace.New
			}
			t.AppendRow(row)
		}
		t.Render()
	}
}

// state says what becomes of what is left.
func state(v consumers.Verification, t consumers.Trace) string {
	switch {
	case !t.Expires.IsZero():
		return t.Expires.UTC().Format(verificationTime) + " at the latest"
	case t.Table && v.ErasedAt.IsZero():
		return "it is erased"
	case t.Table:
		return "the sink gets to it: does it run?"
	}
	return "for ever: the topic has no retention"
}

func (a *app) printVerificationsJSON(verifications []consumers.Verification) error {
	type trace struct {
		Place   string     `json:"place"`
		Table   bool       `json:"table"`
		Left    int        `json:"left"`
		Expires *time.Time `json:"expires"`
		Since   int        `json:"published_since"`
	}
	type verification struct {
		ID       string     `json:"id"`
		ErasedAt *time.Time `json:"erased_at"`
		Clean    bool       `json:"clean"`
		Traces   []trace    `json:"traces"`
	}
	optional := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	all := []verification{}
	for _, v := range verifications {
		out := verification{ID: v.ID, ErasedAt: optional(v.ErasedAt), Clean: v.Clean(), Traces: []trace{}}
		for _, t := range v.Traces {
			out.Traces = append(out.Traces, trace{Place: t.Place, Table: t.Table, Left: t.Old, Expires: optional(t.Expires), Since: t.New})
		}
		all = append(all, out)
	}
	return json.NewEncoder(a.out).Encode(all)
}
