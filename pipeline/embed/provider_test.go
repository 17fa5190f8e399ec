package embed

import (
	"fmt"
	"strings"
	"testing"

	"jobstrom/models/convert"
	"jobstrom/models/onnx"
)

// A provider that the library lacks is a clear error before any text is read, and the library still serves others.
func TestProviderThatIsMissing(t *testing.T) {
	var own Options
	own.EnsureDefaults()
	for _, p := range []onnx.Provider{onnx.CUDA, onnx.OpenVINO, onnx.CoreML} {
		_, err := New(Options{ModelDir: folder(t, convert.Int8), Provider: p, Library: own.Library})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("has no provider %s here: name one that has it with --onnxruntime", p)) || !strings.Contains(err.Error(), "libonnxruntime") {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := New(Options{ModelDir: folder(t, convert.Int8), Provider: "tpu"}); err == nil || !strings.Contains(err.Error(), "provider (tpu) must be one of [cpu cuda coreml openvino]") {
		t.Errorf("got %v", err)
	}
	embed(t, newEncoder(t, Options{ModelDir: folder(t, convert.Int8), Provider: onnx.CPU}), "murer")
}
