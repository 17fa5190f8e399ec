package models

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNativeDirSuccess(t *testing.T) {
	root := t.TempDir()
	native := filepath.Join(root, ".native")
	deep := filepath.Join(root, "a", "b")
	for _, dir := range []string{native, deep} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f := func(env, wd, want string) {
		t.Helper()
		t.Setenv(NativeEnv, env)
		t.Chdir(wd)
		got, err := NativeDir()
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("NativeDir() = %s, want %s", got, want)
		}
	}
	f("", root, native)
	f("", deep, native)
	f(deep, root, deep)
	f("a", root, filepath.Join(root, "a"))
}

func TestNativeDirFailure(t *testing.T) {
	root := t.TempDir()
	module := filepath.Join(root, "module")
	file := filepath.Join(module, "go.mod")
	for _, dir := range []string{module, filepath.Join(root, ".native")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f := func(env string) {
		t.Helper()
		t.Setenv(NativeEnv, env)
		t.Chdir(module)
		if got, err := NativeDir(); err == nil {
			t.Fatalf("NativeDir() = %s, want an error", got)
		}
	}
	f("") // The search stops at go.mod, below .native.
	f(filepath.Join(root, "absent"))
	f(file)
}
