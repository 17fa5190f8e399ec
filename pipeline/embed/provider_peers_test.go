//go:build peers

package embed

import (
	"testing"

	"jobstrom/models/convert"
	"jobstrom/models/onnx"
)

// OpenVINO, which make openvino fetches, gives the vectors that ONNX Runtime's own provider gives; with the static graph little less, and nearly the same alone
// as in a batch.
func TestOpenVINO(t *testing.T) {
	with := func(kind convert.Kind, provider onnx.Provider) *Encoder {
		t.Helper()
		o := Options{Provider: onnx.OpenVINO}
		o.EnsureDefaults() // a process has one library
		o.ModelDir, o.Provider = folder(t, kind), provider
		return newEncoder(t, o)
	}
	some := texts(t)
	reference := embed(t, with(convert.FP32, onnx.CPU), some...)
	agree(t, "OpenVINO and ONNX Runtime's own, fp32", .9999, embed(t, with(convert.FP32, onnx.OpenVINO), some...), reference)

	e := with(convert.Static, onnx.OpenVINO)
	together, alone := embed(t, e, some...), make([]Vector, len(some))
	for i, text := range some {
		alone[i] = embed(t, e, text)[0]
	}
	agree(t, "OpenVINO and the reference, static", .994, together, reference)
	agree(t, "OpenVINO and ONNX Runtime's own, static", .998, together, embed(t, with(convert.Static, onnx.CPU), some...))
	agree(t, "OpenVINO alone and in a batch, static", .999, alone, together)
}
