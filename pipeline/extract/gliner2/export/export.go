// Package export makes the ONNX graphs that package gliner2 runs of a checkpoint in PyTorch, with a Python script that it holds and a Python that the user has.
package export

import (
	"bufio"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"jobstrom/models"
)

// Script is the program that exports; it runs without us, too.
//
//go:embed export_gliner2.py
var Script []byte

// Requirements are the packages that it needs, for pip.
//
//go:embed requirements.txt
var Requirements []byte

// ErrPackages is returned when the Python lacks packages that the script needs.
var ErrPackages = errors.New("packages of Python are missing")

// missing is the script's status when packages are.
const missing = 3

// Both writes the weights of every precision.
const Both = "both"

// Precisions lists what may be written, the default first.
func Precisions() []string { return append([]string{Both}, models.Precisions()...) }

// Options says what is exported, and with what.
type Options struct {
	// Checkpoint is a folder that GLiNER2.save_pretrained wrote, or a model's name on the Hugging Face hub, which Python fetches. There is no default.
	Checkpoint string
	// Dir is the folder that is made; it must not exist, unless it is empty. There is no default.
	Dir string
	// Python is the interpreter, 3.10 or newer. Default: python3.
	Python string
	// Precision of the graphs. Default: Both.
	Precision string
	// Remedy is what a user does when packages are missing. Default: installing Requirements with pip.
	Remedy string
	// Progress gets the script's lines. Default: nowhere.
	Progress io.Writer
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	o.Python = cmp.Or(o.Python, "python3")
	o.Precision = cmp.Or(o.Precision, Both)
	o.Remedy = cmp.Or(o.Remedy, o.Python+" -m pip install -r requirements.txt")
	if o.Progress == nil {
		o.Progress = io.Discard
	}
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Checkpoint != "" && !strings.HasPrefix(o.Checkpoint, "-"), "Checkpoint (%q) must be a folder or a model's name on the hub", o.Checkpoint)
	check(o.Dir != "" && !strings.HasPrefix(o.Dir, "-"), "Dir (%q) must be the folder to make", o.Dir)
	check(slices.Contains(Precisions(), o.Precision), "Precision (%q) must be one of %q", o.Precision, Precisions())
	return errors.Join(errs...)
}

// Run exports a checkpoint. The script compares each graph with the checkpoint, and leaves no folder behind when they differ or anything else goes wrong.
func Run(ctx context.Context, o Options) error {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	folder, err := os.MkdirTemp("", "jobstrom-export-*")
	if err != nil {
		return fmt.Errorf("exporting %s: %w", o.Checkpoint, err)
	}
	defer os.RemoveAll(folder)
	script := filepath.Join(folder, "export_gliner2.py")
	if err := os.WriteFile(script, Script, 0o644); err != nil {
		return fmt.Errorf("exporting %s: %w", o.Checkpoint, err)
	}
	cmd := exec.CommandContext(ctx, o.Python, script, "--precision", o.Precision, "--remedy", o.Remedy, o.Checkpoint, o.Dir)
	said, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("exporting %s: %w", o.Checkpoint, err)
	}
	if err := cmd.Start(); errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("running %s: there is no such Python: install Python 3.10 or newer, or name yours; then: %s: %w", o.Python, o.Remedy, err)
	} else if err != nil {
		return fmt.Errorf("running %s: %w", o.Python, err)
	}
	// The last line says why it ended, where it ended by itself.
	last := ""
	lines := bufio.NewReader(said)
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			if reason, ended := strings.CutPrefix(line, "export_gliner2.py: "); ended {
				last = reason
			} else {
				last = line
				fmt.Fprintln(o.Progress, line)
			}
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("exporting %s: %w", o.Checkpoint, ctx.Err())
	case errors.As(err, &exit) && exit.ExitCode() == missing:
		return fmt.Errorf("exporting %s: %w: %s", o.Checkpoint, ErrPackages, last)
	case err != nil:
		return fmt.Errorf("exporting %s: %s (%w)", o.Checkpoint, last, err)
	}
	return nil
}
