package gliner2

import (
	"os"
	"path/filepath"
	"testing"

	"jobstrom/models"
	"jobstrom/models/repository"
)

// must fails a test that cannot go on.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copyModel copies one of the models of random weights, so that a test can change it, and leaves its card to describe. tied is tiny with a count_embed whose
// scores are 0 or 1, and many of them equal.
func copyModel(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	base := name
	if name == "tied" {
		base = "tiny"
	}
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", base))))
	if name == "tied" {
		data, err := os.ReadFile("testdata/tied/count_embed.onnx")
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "onnx", "count_embed.onnx"), data, 0o644))
	}
	return dir
}

// describe writes the card of a model's folder.
func describe(t testing.TB, dir string) models.ExtractorCard {
	t.Helper()
	card, err := repository.Extractor(dir, repository.Options{Name: "tiny"})
	must(t, err)
	must(t, models.WriteExtractorCard(dir, card))
	return card
}

// openModel opens one of the models of random weights.
func openModel(t testing.TB, name string, o Options) *Model {
	t.Helper()
	if o.Dir == "" {
		o.Dir = copyModel(t, name)
		describe(t, o.Dir)
	}
	m, err := Open(o)
	must(t, err)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// look has a model look for other labels: opening takes longer than looking.
func (m *Model) look(t testing.TB, labels []Label, threshold float32) {
	t.Helper()
	o := Options{Labels: labels}
	for i := range o.Labels {
		if o.Labels[i].Threshold == 0 {
			o.Labels[i].Threshold = threshold
		}
	}
	o.EnsureDefaults()
	var err error
	m.labels = o.Labels
	m.prompt, err = newPrompt(m.pieces, m.card.SpecialTokens, taskEntities, models.TokenEntity, m.labels)
	must(t, err)
}
