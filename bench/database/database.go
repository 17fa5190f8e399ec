// Package database is a ClickHouse engine for benchmarks, with jobstrom's schema and drift's views. Its data are deleted when it stops.
package database

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"jobstrom/drift"
	"jobstrom/embedded"
	"jobstrom/models"
	"jobstrom/warehouse"
)

// Database is a running engine and a connection to it.
type Database struct {
	Engine    *embedded.ClickHouse
	Warehouse *warehouse.Warehouse
	data      string
}

// RunEngine runs the engine and ends the process if this is the engine's own, and returns otherwise. A program's main that calls Start begins with it.
func RunEngine() {
	if len(os.Args) > 1 && os.Args[1] == embedded.EngineCommand {
		os.Exit(embedded.RunClickHouseEngine(os.Args[2:]))
	}
}

// Start starts an engine, whose data lie in a folder of their own below the given one, or below that of temporary files when it is empty.
func Start(ctx context.Context, below string) (_ *Database, err error) {
	native, err := models.NativeDir()
	if err != nil {
		return nil, err
	}
	d := &Database{}
	if d.data, err = os.MkdirTemp(below, "jobstrom-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Stop(ctx))
		}
	}()
	if d.Engine, err = embedded.StartClickHouse(ctx, embedded.ClickHouseOptions{DataDir: d.data, Library: filepath.Join(native, models.LibraryClickHouse)}); err != nil {
		return nil, err
	}
	if d.Warehouse, err = warehouse.Open(ctx, warehouse.Options{Addr: []string{d.Engine.Addr()}, CreateDatabase: true}); err != nil {
		return nil, err
	}
	return d, errors.Join(d.Warehouse.Migrate(ctx, nil), drift.Install(ctx, d.Warehouse))
}

// Stop stops the engine, also after the context has ended, and deletes its data.
func (d *Database) Stop(ctx context.Context) error {
	var errs []error
	if d.Warehouse != nil {
		errs = append(errs, d.Warehouse.Close())
	}
	if d.Engine != nil {
		errs = append(errs, d.Engine.Stop(context.WithoutCancel(ctx)))
	}
	return errors.Join(append(errs, os.RemoveAll(d.data))...)
}
