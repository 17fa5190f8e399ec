package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProfile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	stop, err := startProfile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := startProfile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "starting the profile") {
		t.Errorf("a second profile at once gives %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cpu", "heap", "allocs"} {
		if data, err := os.ReadFile(filepath.Join(dir, name+".pprof")); err != nil || !strings.HasPrefix(string(data), "\x1f\x8b") {
			t.Errorf("%s.pprof is not compressed: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := startProfile(file); err == nil {
		t.Error("a file was taken for a folder")
	}
	if stop, err := startProfile(""); err != nil || stop() != nil {
		t.Errorf("no folder gives %v", err)
	}
}
