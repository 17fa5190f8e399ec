package cli

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"jobstrom/drift"
	"jobstrom/embedded"
	"jobstrom/health"
	"jobstrom/models"
	"jobstrom/warehouse"
)

func (f *flow) startWarehouse(ctx context.Context, stopLater func(func())) error {
	options := f.config.warehouseOptions()
	options.CreateDatabase = f.config.Migrate
	if len(options.Addr) == 0 {
		dir, err := f.config.dataFolder("clickhouse")
		if err != nil {
			return err
		}
		backups, err := f.config.dataFolder("backups")
		if err != nil {
			return err
		}
		engine, err := f.startEngine(ctx, embedded.ClickHouseOptions{
			DataDir: dir, BackupDir: backups, NativePort: f.config.ClickHousePort, HTTPPort: f.config.ClickHouseHTTP, Library: f.config.engineLibrary(), Logger: f.log,
		}, stopLater)
		if err != nil {
			return err
		}
		f.clickHouseHTTP = engine.HTTPAddr()
		options.Addr = []string{engine.Addr()}
	}
	w, err := warehouse.Open(ctx, options)
	if err != nil {
		return err
	}
	stopLater(func() { _ = w.Close() })
	f.warehouse = w
	if !f.config.Migrate {
		return w.CheckMigrated(ctx)
	}
	return migrate(ctx, w, f.log)
}

// migrate brings tables, retention and views to what this binary has.
func migrate(ctx context.Context, w *warehouse.Warehouse, log *slog.Logger) error {
	if err := w.Migrate(ctx, log); err != nil {
		return err
	}
	return drift.Install(ctx, w)
}

// startEngine starts ClickHouse here, and again on the same ports and data whenever it ends by itself: meanwhile the sink waits and the stages go on.
func (f *flow) startEngine(ctx context.Context, o embedded.ClickHouseOptions, stopLater func(func())) (*embedded.ClickHouse, error) {
	engine, err := embedded.StartClickHouse(ctx, o)
	if err != nil {
		return nil, err
	}
	o.NativePort, o.HTTPPort = portOf(engine.Addr()), portOf(engine.HTTPAddr())
	current := make(chan *embedded.ClickHouse, 1) // the one to stop, when nobody starts it
	current <- engine
	stopLater(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := (<-current).Stop(ctx); err != nil {
			f.log.Warn("stopping ClickHouse", "error", err)
		}
	})
	f.actors.Go(func() error {
		at := health.Place{Part: "clickhouse"}
		for engine, pause := engine, time.Second; ; {
			select {
			case <-engine.Done():
			case <-f.work.Done():
				return nil
			}
			f.log.Error("the embedded ClickHouse ended, starting it again", "after", pause, "error", engine.Err())
			f.board.Report(health.Problem{Place: at, Reason: engine.Err().Error(), Remedy: "it is started again by itself; if it ends again, see the log, its data folder and its disk"}, 0)
			select {
			case <-time.After(pause):
			case <-f.work.Done():
				return nil
			}
			pause = min(2*pause, 30*time.Second)
			again, err := embedded.StartClickHouse(f.work, o)
			if err != nil {
				f.log.Error("starting ClickHouse again", "error", err)
				continue
			}
			<-current
			current <- again
			engine, pause = again, time.Second
			f.board.Clear(at)
		}
	})
	return engine, nil
}

func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address) // the engine's own
	n, _ := strconv.Atoi(port)
	return n
}

// engineLibrary returns libchdb.so where there is one; elsewhere clickhouse on PATH serves.
func (c Config) engineLibrary() string {
	if c.Engine != "" {
		return c.Engine
	}
	native, err := models.NativeDir()
	if err != nil || runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return ""
	}
	return filepath.Join(native, models.LibraryClickHouse)
}
