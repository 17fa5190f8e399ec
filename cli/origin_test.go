package cli

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jobstrom/drift"
	"jobstrom/models"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// Training and drift reports leave out what the API answered, unless they are asked for it; the model says so.
func TestOriginOfTrainingAndReport(t *testing.T) {
	w, engine := gateEngine(t)
	must(t, drift.Install(t.Context(), w))
	card, err := models.ReadEncoderCard((&app{}).encoderDir())
	must(t, err)
	random := rand.New(rand.NewPCG(1, 1))
	answers := func(topic byte, name string, vacancies int, region string) (embeddings []warehouse.EmbeddingRow, predictions []warehouse.PredictionRow, labels []warehouse.LabelRow) {
		for i := range vacancies {
			at := warehouse.Coordinates{TopicID: uuid.UUID{topic}, Offset: int64(i)}
			id, category := fmt.Sprint(name, i), uint16(i%22)
			vector := make([]float32, card.Dim)
			for k := range vector {
				vector[k] = float32(random.NormFloat64()) / 100
			}
			vector[category] = 1
			published := noon.Add(time.Duration(i%2) * 31 * 24 * time.Hour)
			embeddings = append(embeddings, warehouse.EmbeddingRow{Coordinates: at, ReceivedAt: noon, VacancyID: id, Encoder: card.ID, Vector: vector, Source: region, PublishedAt: published})
			predictions = append(predictions, warehouse.PredictionRow{Coordinates: at, ReceivedAt: noon, VacancyID: id, Encoder: card.ID, Model: "m", Category: "x", Probabilities: []float32{1}, PublishedAt: published, ClassifiedAt: noon})
			labels = append(labels, warehouse.LabelRow{TopicID: uuid.UUID{topic, 1}, Offset: int64(i), ReceivedAt: noon, VacancyID: id, CategoryIndex: category, Category: "x", LabelledAt: noon})
		}
		return embeddings, predictions, labels
	}
	train := func(origin string) (c *schemas.Classifier, status int, said string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "model.bin")
		args := append([]string{"train", "--dry-run", "--split", "vacancy", "--out", file, "--data", t.TempDir(), "--l2", "1e-3"}, engine...)
		if origin != "" {
			args = append(args, "--origin", origin)
		}
		status, _, said = jobstrom(t, "", args...)
		if status == 0 {
			data, err := os.ReadFile(file)
			must(t, err)
			c, err = models.DecodeClassifier(data)
			must(t, err)
		}
		return c, status, said
	}
	e, p, l := answers(1, "stream ", 440, "stream")
	must(t, w.InsertEmbeddings(t.Context(), e))
	must(t, w.InsertPredictions(t.Context(), p))
	must(t, w.InsertLabels(t.Context(), l))
	if _, status, said := train("api"); status != 1 || !strings.Contains(said, "nothing that the API answered is labelled") {
		t.Fatalf("status %d: %s", status, said)
	}
	e, p, l = answers(2, "api ", 330, "api")
	must(t, w.InsertAPI(t.Context(), e, p))
	must(t, w.InsertLabels(t.Context(), l))
	for origin, want := range map[string]struct {
		rows uint64
		said string
	}{"": {440, ""}, "stream": {440, ""}, "api": {330, "api"}, "all": {770, "all"}} {
		c, status, said := train(origin)
		if h := c.GetCard().GetHistory(); status != 0 || h.GetRows() != want.rows || h.GetOrigin() != want.said {
			t.Errorf("--origin %q: status %d, %v: %s", origin, status, h, said)
		}
	}
	for origin, want := range map[string][2]int{"": {220, 220}, "stream": {220, 220}, "api": {165, 165}, "all": {385, 385}} {
		args := append([]string{"drift", "report", "--reference", "2026-03", "--current", "2026-04", "--format", "json", "--out", ""}, engine...)
		if origin != "" {
			args = append(args, "--origin", origin)
		}
		status, out, errOut := jobstrom(t, "", args...)
		var c drift.Comparison
		if err := json.Unmarshal([]byte(out), &c); err != nil || status != 0 || c.Vacancies != want {
			t.Errorf("--origin %q: status %d, %v vacancies, %v: %s", origin, status, c.Vacancies, err, errOut)
		}
	}
}
