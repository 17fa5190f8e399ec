package cli

import (
	"os"
	"path/filepath"
	"testing"

	"jobstrom/pipeline/extract/gliner2/export"
)

// What cannot be exported is refused with the remedy, before anything is made; the script and what it needs are printed.
func TestModelsExportGLiNER2(t *testing.T) {
	data := t.TempDir()
	has(t, 1, nil, []string{"there is no such Python", "jobstrom models export-gliner2 --requirements >requirements.txt && /nowhere/python -m pip install -r requirements.txt"},
		"models", "export-gliner2", "a/b", "--python", "/nowhere/python", "--data", data)
	if _, err := os.Stat(filepath.Join(data, "extractors", "a--b")); err == nil {
		t.Error("a folder was made")
	}
	if script := has(t, 0, nil, nil, "models", "export-gliner2", "--script"); script != string(export.Script) {
		t.Errorf("the script is %.100q…", script)
	}
	if requirements := has(t, 0, nil, nil, "models", "export-gliner2", "--requirements"); requirements != string(export.Requirements) {
		t.Errorf("the requirements are %.100q…", requirements)
	}
	has(t, 2, nil, []string{"the checkpoint is missing"}, "models", "export-gliner2")
	has(t, 2, nil, []string{"stand alone"}, "models", "export-gliner2", "a/b", "--script")
	has(t, 2, nil, []string{`Precision ("int8") must be one of`}, "models", "export-gliner2", "a/b", "--precision", "int8")
}
