package onnx

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// environment is ONNX Runtime's own, of which a process has exactly one. It is counted, so that its users
// can come and go in any order: the first loads the library, the last unloads it.
var environment struct {
	sync.Mutex
	users   int
	library string
}

// Open loads ONNX Runtime from this file, or counts one more user of it.
func Open(library string) error {
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
			return fmt.Errorf("loading ONNX Runtime: %w; fetch it with `make setup`, with OpenVINO by `make openvino`", err)
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

// Close counts one user less.
func Close() error {
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

// loaded returns the library that is open.
func loaded() string {
	environment.Lock()
	defer environment.Unlock()
	return environment.library
}

// Execution says how runs of a session are computed.
type Execution struct {
	Provider Provider
	// Threads work on one run, and Runs overlap; more may, and share what there is.
	Threads, Runs int
}

// Session loads the model in a file.
func Session(path string, inputs, outputs []string, how Execution) (*ort.DynamicAdvancedSession, error) {
	return session(path, how, func(o *ort.SessionOptions) (*ort.DynamicAdvancedSession, error) {
		return ort.NewDynamicAdvancedSession(path, inputs, outputs, o)
	})
}

// Session loads the graph as it stands, for the provider CPU and with so many threads a run.
func (g *Graph) Session(inputs, outputs []string, threads int) (*ort.DynamicAdvancedSession, error) {
	return g.Load(inputs, outputs, Execution{CPU, threads, 1})
}

// Load is Session for any provider.
func (g *Graph) Load(inputs, outputs []string, how Execution) (*ort.DynamicAdvancedSession, error) {
	var model bytes.Buffer
	if err := g.Encode(&model); err != nil {
		return nil, fmt.Errorf("loading graph %s: %w", g.Name, err)
	}
	return sessionOf("graph "+g.Name, model.Bytes(), inputs, outputs, how)
}

// SessionOf loads the bytes of a model, as the function Session does a file. The name is for errors.
func SessionOf(name string, model []byte, inputs, outputs []string, threads int) (*ort.DynamicAdvancedSession, error) {
	return sessionOf(name, model, inputs, outputs, Execution{CPU, threads, 1})
}

func sessionOf(name string, model []byte, inputs, outputs []string, how Execution) (*ort.DynamicAdvancedSession, error) {
	return session(name, how, func(o *ort.SessionOptions) (*ort.DynamicAdvancedSession, error) {
		return ort.NewDynamicAdvancedSessionWithONNXData(model, inputs, outputs, o)
	})
}

func session(name string, how Execution, load func(*ort.SessionOptions) (*ort.DynamicAdvancedSession, error)) (*ort.DynamicAdvancedSession, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", name, err)
	}
	defer o.Destroy()
	if err := errors.Join(
		o.SetIntraOpNumThreads(how.Threads),
		o.SetInterOpNumThreads(1),
		// Waiting threads sleep: the machine is shared with broker, database and other stages.
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		// The memory pattern of a batch serves only batches of exactly its shape, and shapes vary.
		o.SetMemPattern(false),
		how.prepare(o),
	); err != nil {
		return nil, fmt.Errorf("loading %s: %w", name, err)
	}
	s, err := load(o)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", name, err)
	}
	return s, nil
}
