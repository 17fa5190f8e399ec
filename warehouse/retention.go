package warehouse

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ttl is what a table's engine says of its rows' time, as retain sets it.
var ttl = regexp.MustCompile(`toDateTime\(received_at\) \+ toIntervalSecond\((\d+)\)(?: TO VOLUME '([^']*)')?`)

// kept is what a table's engine says: zero of what it does not say.
type kept struct {
	hot, keep time.Duration
	volume    string
}

// String says it for people.
func (k kept) String() string {
	said := "kept"
	if k.keep > 0 {
		said += " " + k.keep.String()
	}
	if k.hot > 0 {
		said += fmt.Sprintf(", after %s on the volume %s", k.hot, k.volume)
	}
	return said
}

// statement sets it.
func (k kept) statement(table string) string {
	var rules []string
	if k.hot > 0 {
		rules = append(rules, fmt.Sprintf("toDateTime(received_at) + toIntervalSecond(%d) TO VOLUME '%s'", int64(k.hot.Seconds()), k.volume))
	}
	if k.keep > 0 {
		rules = append(rules, fmt.Sprintf("toDateTime(received_at) + toIntervalSecond(%d)", int64(k.keep.Seconds())))
	}
	return "ALTER TABLE " + table + " MODIFY TTL " + strings.Join(rules, ", ")
}

// retentions lists what Migrate sets.
func (w *Warehouse) retentions(ctx context.Context) ([]tableRetention, error) {
	all := w.options.Retention.tables()
	similar, err := w.similarTables(ctx)
	for _, table := range similar {
		all = append(all, tableRetention{table, w.options.Retention.Embeddings})
	}
	return all, err
}

// wanted returns what a table's retention is to be, and whether that differs from what it is. What the options leave at zero stays.
func (w *Warehouse) wanted(ctx context.Context, r tableRetention) (is, want kept, differs bool, err error) {
	if is, err = w.kept(ctx, r.table); err != nil {
		return is, is, false, err
	}
	want = w.want(is, r)
	return is, want, is != want, nil
}

func (w *Warehouse) want(is kept, r tableRetention) kept {
	if r.keep > 0 {
		is.keep = r.keep.Truncate(time.Second)
	}
	if hot := w.options.Retention.Hot.Truncate(time.Second); hot > 0 && (is.keep == 0 || hot < is.keep) {
		is.hot, is.volume = hot, w.options.Layout.ColdVolume
	}
	return is
}

// retain sets a table's TTL unless it is set already, because every ALTER of it rewrites parts.
func (w *Warehouse) retain(ctx context.Context, r tableRetention, logger *slog.Logger) error {
	_, want, differs, err := w.wanted(ctx, r)
	if err != nil || !differs {
		return err
	}
	if err := w.Define(ctx, want.statement(r.table)); err != nil {
		return err
	}
	logger.Info("set retention", "table", r.table, "keep", want.keep, "hot", want.hot)
	return nil
}

// Retention returns how long a table keeps its rows after they were received, by the database; 0 when it keeps them.
func (w *Warehouse) Retention(ctx context.Context, table string) (time.Duration, error) {
	k, err := w.kept(ctx, table)
	return k.keep, err
}

func (w *Warehouse) kept(ctx context.Context, table string) (k kept, err error) {
	var engine string
	// Of a sharded table the local one says it.
	err = w.conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name IN (?, ?) ORDER BY engine = 'Distributed' LIMIT 1", table, table+localSuffix).Scan(&engine)
	if err != nil {
		return k, fmt.Errorf("reading the retention of %s: %w", table, err)
	}
	for _, m := range ttl.FindAllStringSubmatch(engine, -1) {
		seconds, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return k, fmt.Errorf("reading the retention of %s: %w", table, err)
		}
		d := time.Duration(seconds) * time.Second
		if m[2] != "" {
			k.hot, k.volume = d, m[2]
		} else {
			k.keep = d
		}
	}
	return k, nil
}
