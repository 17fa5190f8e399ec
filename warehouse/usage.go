package warehouse

import (
	"context"
	"fmt"
)

// TableUsage is what a table of ours holds, in its active parts.
type TableUsage struct {
	Table string `ch:"name"`
	Rows  uint64 `ch:"rows"`
	Bytes uint64 `ch:"bytes"` // compressed, on disk
	Parts uint64 `ch:"parts"`
}

// DiskUsage is a disk of the server.
type DiskUsage struct {
	Disk  string `ch:"name"`
	Bytes uint64 `ch:"total_space"`
	Free  uint64 `ch:"free_space"`
}

// ReadTables returns the database's tables that hold rows themselves, by name. Rows are counted as they lie on disk, those that a merge will replace included. On a cluster
// they are those of the server that answers.
func (w *Warehouse) ReadTables(ctx context.Context) ([]TableUsage, error) {
	var tables []TableUsage
	err := w.conn.Select(ctx, &tables, `SELECT name, ifNull(total_rows, 0) AS rows, ifNull(total_bytes, 0) AS bytes, ifNull(active_parts, 0) AS parts
FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("reading the size of tables: %w", err)
	}
	return tables, nil
}

// ReadDisks returns the disks of the server that answers, by name. It needs SELECT on system.disks; see IsDenied.
func (w *Warehouse) ReadDisks(ctx context.Context) ([]DiskUsage, error) {
	var disks []DiskUsage
	if err := w.conn.Select(ctx, &disks, "SELECT name, total_space, free_space FROM system.disks ORDER BY name"); err != nil {
		return nil, fmt.Errorf("reading the room on disks: %w", err)
	}
	return disks, nil
}
