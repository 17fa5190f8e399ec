// Package clickhousetest gives the tests of a package one real ClickHouse engine, started when the first of them asks for it.
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
	if shared.users != "" {
		folder := filepath.Join(dir, "users.d")
		if err := errors.Join(os.Mkdir(folder, 0o755), os.WriteFile(filepath.Join(folder, "tests.xml"), []byte(shared.users), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	native, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	// Not the test's context: the engine outlives it.
	shared.engine, err = embedded.StartClickHouse(context.Background(), embedded.ClickHouseOptions{DataDir: dir, Library: filepath.Join(native, models.LibraryClickHouse)})
	if err != nil {
		t.Fatal(err)
	}
	return shared.engine
}

// Dir is the engine's data folder.
func Dir(t testing.TB) string {
	t.Helper()
	Engine(t)
	return shared.dir
}

// Database names a database after the test.
func Database(t testing.TB) string { return strings.NewReplacer("/", "_", "#", "_").Replace(t.Name()) }
