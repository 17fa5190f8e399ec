//go:build peers

package cli

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"jobstrom/models"
	"jobstrom/pipeline/extract/gliner2"
)

// A checkpoint that gliner2 wrote becomes an extractor that runs.
func TestExportGLiNER2(t *testing.T) {
	native, err := models.NativeDir()
	must(t, err)
	python := filepath.Join(native, "bench-extract", "bin", "python")
	data, checkpoint := t.TempDir(), filepath.Join(t.TempDir(), "random")
	said, err := exec.CommandContext(t.Context(), python, "-W", "ignore", "../pipeline/extract/gliner2/testdata/make_goldens.py", "--checkpoint", "small", checkpoint).CombinedOutput()
	if err != nil {
		t.Fatalf("making the checkpoint: %v: %s; `make test-peers` installs what it needs", err, said)
	}
	dir := filepath.Join(data, "extractors", encoderFolder(checkpoint))
	has(t, 0, []string{"32 dimensions, entities of up to 8 words, weights in fp16, fp32", "use it with --extractor gliner2 --gliner2 " + dir}, []string{"writing count_pred"},
		"models", "export-gliner2", checkpoint, "--python", python, "--data", data)
	card, err := models.VerifyExtractor(dir)
	must(t, err)
	if card.Graphs[models.FP32].CountPred == nil {
		t.Error("count_pred was not exported")
	}
	m, err := gliner2.Open(gliner2.Options{Dir: dir})
	must(t, err)
	defer m.Close()
	_, err = m.Extract(t.Context(), []string{"Bager søges til natarbejde i Odense."})
	must(t, err)

	var told exportedJSON
	other := filepath.Join(data, "other")
	must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, "models", "export-gliner2", checkpoint, "--precision", "fp32", "--licence", "MIT", "--dir", other, "--python", python, "--format", "json")), &told))
	if told.Dir != other || len(told.Extractor.Graphs) != 1 || told.Extractor.Licence != "MIT" || told.Extractor.Source != checkpoint {
		t.Errorf("told %+v", told)
	}
	has(t, 1, nil, []string{"exists already"}, "models", "export-gliner2", checkpoint, "--dir", other, "--python", python)
}
