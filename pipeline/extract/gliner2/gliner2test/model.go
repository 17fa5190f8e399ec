// Package gliner2test opens the tiny model of gliner2's tests for the tests of other packages.
package gliner2test

import (
	"os"
	"testing"

	"jobstrom/models"
	"jobstrom/models/repository"
	"jobstrom/pipeline/extract/gliner2"
)

// Dir returns a folder of a test with a copy of the model in dir, and its card.
func Dir(t testing.TB, dir string) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	card, err := repository.Extractor(copied, repository.Options{Name: "tiny"})
	if err == nil {
		err = models.WriteExtractorCard(copied, card)
	}
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

// Open opens the model in dir, and closes it after the test.
func Open(t testing.TB, dir string, o gliner2.Options) *gliner2.Model {
	t.Helper()
	o.Dir = Dir(t, dir)
	m, err := gliner2.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}
