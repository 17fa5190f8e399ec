package onnx

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	ort "github.com/yalue/onnxruntime_go"
)

// Provider is what ONNX Runtime computes with: its execution provider. The library must have been built with it.
type Provider string

// Providers. What one of them cannot compute of a graph, ONNX Runtime computes itself.
const (
	// CPU is ONNX Runtime's own, the default.
	CPU Provider = "cpu"
	// CUDA is an NVIDIA GPU.
	CUDA Provider = "cuda"
	// CoreML is what Apple's machines have.
	CoreML Provider = "coreml"
	// OpenVINO is Intel's, for x86-64 processors of any maker. Its kernels differ by the batch's shape: a text's vector varies a little with its batch.
	OpenVINO Provider = "openvino"
)

// Providers lists them, the default first.
var Providers = []Provider{CPU, CUDA, CoreML, OpenVINO}

// Validate says which providers there are.
func (p Provider) Validate() error {
	if !slices.Contains(Providers, p) {
		return fmt.Errorf("provider (%s) must be one of %v", p, Providers)
	}
	return nil
}

// prepare has sessions with these options compute so.
func (e Execution) prepare(o *ort.SessionOptions) error {
	p := e.Provider
	if err := p.Validate(); err != nil {
		return err
	}
	var err error
	switch p {
	case CPU:
		return nil
	case CUDA:
		var cuda *ort.CUDAProviderOptions
		if cuda, err = ort.NewCUDAProviderOptions(); err == nil {
			err = errors.Join(o.AppendExecutionProviderCUDA(cuda), cuda.Destroy())
		}
	case CoreML:
		err = o.AppendExecutionProviderCoreMLV2(nil)
	case OpenVINO:
		err = o.AppendExecutionProviderOpenVINO(map[string]string{
			// Runs that overlap need a stream each, or they wait for each other.
			"device_type": "CPU", "num_of_threads": strconv.Itoa(e.Threads * e.Runs), "num_streams": strconv.Itoa(e.Runs), "precision": "ACCURACY",
		})
	}
	if err != nil {
		return fmt.Errorf("the library %s has no provider %s here: name one that has it with --onnxruntime, or use --provider cpu: %w", loaded(), p, err)
	}
	return nil
}
