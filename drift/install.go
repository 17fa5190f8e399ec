package drift

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"jobstrom/warehouse"
)

// Each file creates one view, with CREATE OR REPLACE, and is named after it. They are installed in the order of their names' numbers, because a
// view is made of those before it.
//
//go:embed sql/*.sql
var views embed.FS

// Install puts the views of this binary into a migrated database, in place of older ones. It may run at every start and on many machines at once.
func Install(ctx context.Context, w *warehouse.Warehouse) error {
	paths, err := fs.Glob(views, "sql/*.sql") // sorted
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := fs.ReadFile(views, path)
		if err != nil {
			return fmt.Errorf("installing the drift views: %w", err)
		}
		if err := w.Conn().Exec(ctx, strings.TrimSpace(string(text))); err != nil {
			return fmt.Errorf("installing the drift view %s: %w", strings.TrimSuffix(strings.TrimPrefix(path, "sql/"), ".sql"), err)
		}
	}
	return nil
}
