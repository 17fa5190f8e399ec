package embed

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// environment is ONNX Runtime's own, of which a process has exactly one. It is counted, so that encoders
// can be opened and closed in any order: the first loads the library, the last unloads it.
var environment struct {
	sync.Mutex
	users   int
	library string
}

// openEnvironment loads ONNX Runtime, or counts one more user of it.
func openEnvironment(library string) error {
	library, err := filepath.Abs(library)
	if err != nil {
		return fmt.Errorf("loading ONNX Runtime: %w", err)
	}
	environment.Lock()
	defer environment.Unlock()
	if environment.users > 0 && environment.library != library {
		return fmt.Errorf("loading ONNX Runtime from %s: this process has it from %s already", library, environment.library)
	}
	if environment.users == 0 {
		if _, err := os.Stat(library); err != nil {
			return fmt.Errorf("loading ONNX Runtime: %w; fetch it with `make setup`", err)
		}
		ort.SetSharedLibraryPath(library)
		if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
			return fmt.Errorf("loading ONNX Runtime from %s: %w; version 1.24 or newer for this machine is needed, fetch it with `make setup`", library, err)
		}
		environment.library = library
	}
	environment.users++
	return nil
}

// closeEnvironment counts one user less.
func closeEnvironment() error {
	environment.Lock()
	defer environment.Unlock()
	environment.users--
	if environment.users > 0 {
		return nil
	}
	if err := ort.DestroyEnvironment(); err != nil {
		return fmt.Errorf("unloading ONNX Runtime: %w", err)
	}
	return nil
}

// openSession loads a graph with inputs input_ids and attention_mask and the one output.
func openSession(graph, output string, threads int) (_ *ort.DynamicAdvancedSession, err error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", graph, err)
	}
	defer o.Destroy()
	for _, set := range []func() error{
		func() error { return o.SetIntraOpNumThreads(threads) },
		func() error { return o.SetInterOpNumThreads(1) },
		// Waiting threads sleep: the machine is shared with broker, database and other stages.
		func() error { return o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
		// The memory pattern of a batch serves only batches of exactly its shape, and shapes vary.
		func() error { return o.SetMemPattern(false) },
	} {
		if err := set(); err != nil {
			return nil, fmt.Errorf("loading %s: %w", graph, err)
		}
	}
	s, err := ort.NewDynamicAdvancedSession(graph, []string{"input_ids", "attention_mask"}, []string{output}, o)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", graph, err)
	}
	return s, nil
}
