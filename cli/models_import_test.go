package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/models/convert"
	"jobstrom/pipeline/classify"
	"jobstrom/schemas"
)

// importFrom is where the files of other libraries lie; they take vectors of 16 numbers.
const importFrom = "../models/convert/testdata/imports/"

// narrowEncoder is an encoder's folder whose card says 16 numbers.
func narrowEncoder(t *testing.T) (dir, id string) {
	t.Helper()
	native, err := models.NativeDir()
	must(t, err)
	data, err := os.ReadFile(filepath.Join(native, models.DefaultEncoder, models.CardFile))
	must(t, err)
	var card models.EncoderCard
	must(t, json.Unmarshal(data, &card))
	card.Dim, dir = 16, t.TempDir()
	must(t, models.WriteEncoderCard(dir, card))
	return dir, card.ID
}

// Models of other libraries become files that every command takes for a model.
func TestModelsImport(t *testing.T) {
	encoder, id := narrowEncoder(t)
	data := t.TempDir()
	line := func(file string, more ...string) []string {
		return append([]string{"models", "import", file, "--encoder", encoder, "--data", data}, more...)
	}
	readModel := func(path string) *schemas.Classifier {
		t.Helper()
		file, err := os.ReadFile(path)
		must(t, err)
		c, err := models.DecodeClassifier(file)
		must(t, err)
		return c
	}
	has(t, 0, []string{"imported from " + importFrom + "float32.pt (PyTorch state_dict)", "written to " + data, "jobstrom models challenge " + data, "promote"}, nil, line(importFrom+"float32.pt")...)
	var told importedJSON
	must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, line(importFrom+"sklearn_names.onnx", "--format", "json")...)), &told))
	if told.File != filepath.Join(data, "models", told.Model+".bin") || told.Format != "ONNX of skl2onnx" || len(told.SHA256) != 64 || len(told.Lacks) != 2 || told.Challenger {
		t.Errorf("told %+v", told)
	}
	if c := readModel(told.File); c.Id != told.Model || c.Encoder != id || c.Card.EncoderName == "" || c.Training[convert.ImportedFrom] != "sklearn_names.onnx" {
		t.Errorf("the file holds %v", models.WithoutNumbers(c))
	}
	has(t, 0, []string{"never answers, for the file does not know them: Elever; Tekstil og beklædning"}, nil, line(importFrom+"sklearn_names.onnx")...)

	// The first two rows are each other's, in lines and as a list.
	names := schemas.Jobnet().Names()
	names[0], names[1] = names[1], names[0]
	list, err := json.Marshal(names)
	must(t, err)
	out := filepath.Join(t.TempDir(), "new", "classifier.bin")
	has(t, 0, nil, nil, line(importFrom+"float32.pt", "--out", out)...)
	plain := readModel(out)
	for _, content := range []string{strings.Join(names, "\n") + "\n", string(list)} {
		has(t, 0, nil, nil, line(importFrom+"float32.pt", "--out", out, "--categories", write(t, "categories", content))...)
		if c := readModel(out); c.Bias[0] != plain.Bias[1] || c.Bias[1] != plain.Bias[0] || c.Bias[2] != plain.Bias[2] {
			t.Errorf("the biases are %v, without names %v", c.Bias, plain.Bias)
		}
	}

	// Our own export, for the real encoder.
	card, err := models.ReadEncoderCard((&app{}).encoderDir())
	must(t, err)
	served, err := classify.DefaultModel(card.ID)
	must(t, err)
	var exported strings.Builder
	must(t, convert.WriteClassifier(&exported, served))
	has(t, 0, []string{"ONNX of jobstrom"}, nil, "models", "import", write(t, "classifier.onnx", exported.String()), "--out", out)
	if c := readModel(out); c.Temperature != served.Temperature || len(c.Mean) != len(served.Mean) || models.Rows(c) != models.Rows(served) {
		t.Errorf("temperature %v, %d means, %d rows", c.Temperature, len(c.Mean), models.Rows(c))
	}

	for _, wrong := range []struct {
		status int
		want   string
		args   []string
	}{
		{1, `importing ` + importFrom + `hostile.pt: malformed pickle: it names "posix.system", which could run code`, line(importFrom + "hostile.pt")},
		{1, "each category against the rest", line(importFrom + "sklearn_ovr.onnx")},
		{1, "it takes vectors of 16 numbers, the encoder gives 384", []string{"models", "import", importFrom + "float32.pt"}},
		{1, "reading --categories", line(importFrom+"float32.pt", "--categories", "/nowhere")},
		{1, "it names none", line(importFrom+"float32.pt", "--categories", write(t, "none", " \n"))},
		{1, "a JSON list of names", line(importFrom+"float32.pt", "--categories", write(t, "broken", "[1"))},
		{1, "1 categories are named, it has 22", line(importFrom+"float32.pt", "--categories", write(t, "one", "Ledelse\n"))},
		{1, "nothing listens there", line(importFrom+"float32.pt", "--challenge", "--kafka-port", "1", "--out", filepath.Join(data, "unregistered.bin"))},
		{2, "--reason is given without --challenge", line(importFrom+"float32.pt", "--reason", "x")},
		{2, "accepts 1 arg", []string{"models", "import"}},
	} {
		has(t, wrong.status, nil, []string{wrong.want}, wrong.args...)
	}
	if _, err := os.Stat(filepath.Join(data, "unregistered.bin")); err == nil {
		t.Error("a model that could not be registered was written")
	}
}

// An imported model is a challenger like any other.
func TestModelsImportChallenge(t *testing.T) {
	encoder, id := narrowEncoder(t)
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		client, err := kafka.NewClient(kafka.Options{Brokers: addrs})
		must(t, err)
		defer client.Close()
		must(t, kafka.EnsureTopics(t.Context(), client, id, kafka.Layout{Partitions: 2, Replication: 1}))
		flags := []string{"--brokers", strings.Join(addrs, ","), "--encoder", encoder, "--data", t.TempDir()}
		line := func(args ...string) []string { return append(append([]string{"models"}, args...), flags...) }
		var told importedJSON
		must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, line("import", importFrom+"sklearn_scaler.onnx", "--challenge", "--reason", "of the notebook", "--format", "json")...)), &told))
		if !told.Challenger {
			t.Errorf("told %+v", told)
		}
		has(t, 0, []string{"it is a challenger"}, nil, line("import", importFrom+"sklearn_scaler.onnx", "--challenge")...) // already
		has(t, 0, []string{told.Model[:12], "challenger"}, nil, line("list")...)
		has(t, 0, []string{told.Model + " challenger", "imported_from", "sklearn_scaler.onnx", "imported; of the notebook"}, nil, line("show", "challenger")...)
		has(t, 0, []string{"is the champion"}, nil, line("promote", "challenger")...)
		has(t, 0, []string{told.Model + " champion"}, nil, line("show", "champion")...)
	})
}
