// Package clickhousetest gives the tests of a package one real ClickHouse engine, started when the first of them asks for it, and a test one of its own.
//
//	func TestMain(m *testing.M) { os.Exit(clickhousetest.Main(m, "")) }
//
//	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Database: clickhousetest.Database(t), CreateDatabase: true})
package clickhousetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jobstrom/embedded"
	"jobstrom/models"
)

// shared is the test binary's engine: a process can have one TestMain.
var shared struct {
	sync.Mutex
	inMain bool
	users  string
	dir    string
	engine *embedded.ClickHouse
}

// Main runs the tests and stops the engine. users is a file of ClickHouse users that the engine knows beside its own; empty: none.
func Main(m *testing.M, users string) (status int) {
	if len(os.Args) > 1 && os.Args[1] == embedded.EngineCommand {
		return embedded.RunClickHouseEngine(os.Args[2:])
	}
	shared.inMain, shared.users = true, users
	defer func() {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}()
	return m.Run()
}

func stop() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.engine == nil {
		return nil
	}
	failed := shared.engine.Err()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(failed, shared.engine.Stop(ctx), os.RemoveAll(shared.dir))
}

// Engine returns the engine.
func Engine(t testing.TB) *embedded.ClickHouse {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.inMain {
		t.Fatal("clickhousetest needs TestMain to call clickhousetest.Main")
	}
	if shared.engine != nil {
		return shared.engine
	}
	dir, err := os.MkdirTemp("", "clickhouse-")
	if err != nil {
		t.Fatal(err)
	}
	shared.dir = dir
	files := map[string]string{}
	if shared.users != "" {
		files["users.d/tests.xml"] = shared.users
	}
	// Not the test's context: the engine outlives it.
	shared.engine, err = start(context.Background(), embedded.ClickHouseOptions{DataDir: dir}, files)
	if err != nil {
		t.Fatal(err)
	}
	return shared.engine
}

// Start starts an engine of the test's own, with these files in its folder, by their names there, like users.d/worker.xml. It ends with the test. TestMain need not
// call Main, but must lead to RunClickHouseEngine.
func Start(t testing.TB, files map[string]string) *embedded.ClickHouse {
	t.Helper()
	engine, err := start(t.Context(), embedded.ClickHouseOptions{DataDir: t.TempDir()}, files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := engine.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return engine
}

func start(ctx context.Context, o embedded.ClickHouseOptions, files map[string]string) (*embedded.ClickHouse, error) {
	for name, content := range files {
		path := filepath.Join(o.DataDir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	native, err := models.NativeDir()
	if err != nil {
		return nil, err
	}
	o.Library = filepath.Join(native, models.LibraryClickHouse)
	return embedded.StartClickHouse(ctx, o)
}

// Dir is the engine's data folder.
func Dir(t testing.TB) string {
	t.Helper()
	Engine(t)
	return shared.dir
}

// Database names a database after the test.
func Database(t testing.TB) string { return strings.NewReplacer("/", "_", "#", "_").Replace(t.Name()) }
