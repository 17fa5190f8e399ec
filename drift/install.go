package drift

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"jobstrom/warehouse"
)

// Each file creates one view, with CREATE OR REPLACE, and is named after it. They are installed in the order of their names' numbers, because a
// view is made of those before it.
//
//go:embed sql/*.sql
var views embed.FS

// inner finds where a view calls another one, in code and not in a comment's example.
var inner = regexp.MustCompile(`(?m)^([^-\n]*(?:FROM|JOIN) )(drift_\w+\()`)

// Install puts the views of this binary into a migrated database, in place of older ones. It may run at every start and on many machines at once.
func Install(ctx context.Context, w *warehouse.Warehouse) error {
	var database string
	if err := w.Conn().QueryRow(ctx, "SELECT currentDatabase()").Scan(&database); err != nil {
		return fmt.Errorf("installing the drift views: %w", err)
	}
	// ClickHouse looks for what a view calls in the database of whoever asks, unless it is named.
	call := "${1}" + database + ".${2}"
	paths, err := fs.Glob(views, "sql/*.sql") // sorted
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := fs.ReadFile(views, path)
		if err != nil {
			return fmt.Errorf("installing the drift views: %w", err)
		}
		if err := w.Define(ctx, inner.ReplaceAllString(strings.TrimSpace(string(text)), call)); err != nil {
			return fmt.Errorf("installing the drift view %s: %w", strings.TrimSuffix(strings.TrimPrefix(path, "sql/"), ".sql"), err)
		}
	}
	return nil
}
