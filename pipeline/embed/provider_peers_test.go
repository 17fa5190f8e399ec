//go:build peers

package embed

import (
	"os"
	"testing"

	"jobstrom/models/convert"
	"jobstrom/models/onnx"
)

// With a library that has it, OpenVINO gives the vectors that ONNX Runtime's own provider gives.
func TestOpenVINO(t *testing.T) {
	library := os.Getenv("JOBSTROM_TEST_OPENVINO")
	if library == "" {
		t.Fatal("JOBSTROM_TEST_OPENVINO must name a library of ONNX Runtime with OpenVINO: make test-peers fetches one")
	}
	some := texts(t)[:12]
	e := newEncoder(t, Options{ModelDir: folder(t, convert.FP32), Library: library, Provider: onnx.OpenVINO})
	got := embed(t, e, some...)
	own := newEncoder(t, Options{ModelDir: folder(t, convert.FP32), Library: library})
	for i, want := range embed(t, own, some...) {
		if c := cosine(got[i].Values, want.Values); c < .9999 {
			t.Errorf("text %d: cosine %v", i, c)
		}
	}
}
