package export

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Python that is not there, or that lacks packages, is an error that says what to install.
func TestMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	err := Run(t.Context(), Options{Checkpoint: "a/b", Dir: dir, Python: filepath.Join(t.TempDir(), "python")})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "-m pip install -r requirements.txt") {
		t.Errorf("without Python: %v", err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatalf("%v: set-up makes virtual environments with it", err)
	}
	// -I -S: no packages but Python's own.
	bare := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(bare, []byte("#!/bin/sh\nexec "+python+" -I -S \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), Options{Checkpoint: "a/b", Dir: dir, Python: bare, Remedy: "the remedy"})
	if !errors.Is(err, ErrPackages) || !strings.Contains(err.Error(), "gliner2 (No module named") || !strings.HasSuffix(err.Error(), "with: the remedy") {
		t.Errorf("without packages: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder was made")
	}
}

func TestValidate(t *testing.T) {
	o := Options{Checkpoint: "-c", Precision: "int8"}
	o.EnsureDefaults()
	err := o.Validate()
	for _, want := range []string{`Checkpoint ("-c")`, `Dir ("")`, `Precision ("int8")`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate says %v, not %s", err, want)
		}
	}
}
