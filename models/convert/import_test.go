package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/schemas"
)

const importDim = 16

// importing are the options that files of testdata/imports are read with.
func importing(t testing.TB) ImportOptions {
	t.Helper()
	o := ImportOptions{Encoder: "e", Dim: importDim}
	if o.EnsureDefaults(); o.Library == "" {
		t.Fatal(models.ErrNoNative)
	}
	return o
}

func imported(file string) string { return filepath.Join("testdata", "imports", file) }

// put writes a file into a temporary folder.
func put(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// answersOf returns what the pipeline answers with a classifier.
func answersOf(t testing.TB, c *schemas.Classifier, vectors [][]float32) []classify.Prediction {
	t.Helper()
	opened, err := classify.New(c, schemas.Jobnet(), classify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := opened.Classify(c.Encoder, vectors)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestImport: the pipeline answers with imported classifiers what PyTorch and scikit-learn answer.
func TestImport(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "imports.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Vectors [][]float32
		Cases   []struct {
			File          string
			Lacks         []string
			Probabilities [][]float64
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) < 16 || len(golden.Vectors) < 3 {
		t.Fatalf("%d cases of %d vectors", len(golden.Cases), len(golden.Vectors))
	}
	o := importing(t)
	o.Card = &schemas.Card{EncoderName: "small"}
	f := func(file string, lacks []string, want [][]float64) {
		t.Helper()
		c, err := Import(imported(file), o)
		if err != nil {
			t.Error(err)
			return
		}
		again, err := Import(imported(file), o)
		if diff := cmp.Diff(c, again, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("%s is another classifier the second time: %v %s", file, err, diff)
		}
		if err := models.VerifyClassifier(c); err != nil || c.Card.EncoderName != "small" || len(c.Training[ImportedSHA256]) != 64 || c.Training[ImportedFrom] != file {
			t.Errorf("%s: %v, card %v, training %v", file, err, c.Card, c.Training)
		}
		for i, p := range answersOf(t, c, golden.Vectors) {
			for k, got := range p.Probabilities {
				if gap := math.Abs(float64(got) - want[i][k]); !(gap < 1e-6) {
					t.Errorf("%s, vector %d, category %d: %v, want %v", file, i, k, got, want[i][k])
				}
			}
		}
		if diff := cmp.Diff(lacks, append([]string{}, Lacks(c, schemas.Jobnet())...)); diff != "" {
			t.Errorf("%s lacks (-want +got) %s", file, diff)
		}
	}
	for _, c := range golden.Cases {
		f(c.File, c.Lacks, c.Probabilities)
	}
}

// TestImportExported: a classifier that was written as ONNX comes back with its numbers, mean and temperature.
func TestImportExported(t *testing.T) {
	o, taxonomy := importing(t), schemas.Jobnet()
	classifier := func(change func(*schemas.Classifier)) *schemas.Classifier {
		c := &schemas.Classifier{Encoder: "e", Taxonomy: taxonomy.ID, Dim: importDim, Categories: 22, Temperature: 1.7}
		for i := range 22 * importDim {
			c.Weights = append(c.Weights, float32(math.Sin(float64(i*i))))
		}
		for i := range 22 {
			c.Bias = append(c.Bias, float32(math.Cos(float64(i))))
		}
		for j := range importDim {
			c.Mean = append(c.Mean, float32(j)/50)
		}
		change(c)
		if err := models.SealClassifier(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	f := func(name string, same bool, tolerance float64, change func(*schemas.Classifier)) {
		t.Helper()
		c := classifier(change)
		var file bytes.Buffer
		if err := WriteClassifier(&file, c); err != nil {
			t.Fatal(err)
		}
		got, err := Import(put(t, "classifier.onnx", file.Bytes()), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if same {
			numbers := protocmp.IgnoreFields(&schemas.Classifier{}, "id", "training")
			if diff := cmp.Diff(c, got, protocmp.Transform(), numbers); diff != "" {
				t.Errorf("%s: (-written +imported)\n%s", name, diff)
			}
		}
		vectors := [][]float32{make([]float32, importDim), make([]float32, importDim)}
		vectors[1][3], vectors[1][7] = .8, -.6
		want := answersOf(t, c, vectors)
		for i, p := range answersOf(t, got, vectors) {
			for k := range p.Probabilities {
				if gap := math.Abs(float64(p.Probabilities[k] - want[i].Probabilities[k])); !(gap < tolerance) {
					t.Errorf("%s, vector %d, category %d: %v, want %v", name, i, k, p.Probabilities[k], want[i].Probabilities[k])
				}
			}
		}
	}
	several := func(c *schemas.Classifier) {
		c.Weights, c.Bias = append(c.Weights, c.Weights[:importDim*5]...), append(c.Bias, 1, 2, 3, 4, 5)
		for i := range c.Bias {
			c.Owners = append(c.Owners, uint32(i%22))
		}
	}
	f("plain", true, 1e-7, func(*schemas.Classifier) {})
	f("without mean", true, 1e-7, func(c *schemas.Classifier) { c.Mean = nil })
	f("bytes", false, 1e-5, models.Quantize)
	f("pruned", false, 1e-6, func(c *schemas.Classifier) { models.Prune(c, .3) })
	f("several rows", false, 1e-6, several)
	f("several rows in bytes", false, 1e-5, func(c *schemas.Classifier) { several(c); models.Quantize(c) })

	other := classifier(func(c *schemas.Classifier) { c.Encoder = "another" })
	var file bytes.Buffer
	if err := WriteClassifier(&file, other); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(put(t, "other.onnx", file.Bytes()), o); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "it is for encoder another, not for e") {
		t.Errorf("a classifier of another encoder gives %v", err)
	}
}

// TestImportLabels: rows are put where their categories are.
func TestImportLabels(t *testing.T) {
	names := schemas.Jobnet().Names()
	f := func(labels []string, row, category int) {
		t.Helper()
		o := importing(t)
		plain, err := Import(imported("float32.pt"), o)
		if err != nil {
			t.Fatal(err)
		}
		o.Labels = labels
		c, err := Import(imported("float32.pt"), o)
		if err != nil {
			t.Error(err)
			return
		}
		if c.Bias[category] != plain.Bias[row] || !cmp.Equal(c.Weights[category*importDim:(category+1)*importDim], plain.Weights[row*importDim:(row+1)*importDim]) {
			t.Errorf("row %d is not that of category %d", row, category)
		}
	}
	swapped := append([]string{names[1], strings.ToUpper(names[0])}, names[2:]...)
	f(names, 5, 5)
	f(swapped, 0, 1)
	f(swapped, 1, 0)
	f(append([]string{"1", "70000"}, names[2:]...), 1, 0)
}

// TestImportFailure: what cannot be imported is refused for what it is, and says what to do.
func TestImportFailure(t *testing.T) {
	o := importing(t)
	f := func(path string, sentinel error, want ...string) {
		t.Helper()
		c, err := Import(path, o)
		if !errors.Is(err, sentinel) || c != nil {
			t.Errorf("%s gives %v", path, err)
			return
		}
		for _, w := range append(want, "importing ", filepath.Base(path)) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", path, err, w)
			}
		}
	}
	f(imported("hostile.pt"), schemas.ErrMalformed, `"posix.system", which could run code`)
	if _, err := os.Stat("hostile-was-run"); err == nil {
		t.Error("the file was run")
	}
	f(imported("module.pt"), schemas.ErrMalformed, "torch.nn.modules.linear.Linear", "torch.save(model.state_dict(), FILE)")
	f(imported("layers.pt"), ErrNotLinear, `"0.weight" 4×16, "0.bias" 4, "2.weight" 22×4, "2.bias" 22`)
	f(imported("legacy.pt"), schemas.ErrMalformed, "before 1.6", "weights_only=True", "save it again")
	f(imported("plain.pkl"), schemas.ErrMalformed, "bare pickle", "skl2onnx")
	f(imported("sklearn_ovr.onnx"), ErrNotLinear, "node 0, LinearClassifier", "against the rest", "OneVsRestClassifier")
	f(imported("sklearn_two.onnx"), ErrNotLinear, "against the rest")
	f(imported("sklearn_svc.onnx"), ErrNotLinear, "against the rest")
	f(filepath.Join("testdata", "conversions.golden"), schemas.ErrMalformed, "malformed ONNX file")
	f(filepath.Join("testdata", "absent.pt"), os.ErrNotExist)
	f(put(t, "empty.onnx", nil), schemas.ErrMalformed, "the file is empty")
	f(put(t, "large.pt", make([]byte, maxImport+1)), ErrNotLinear, "more than 67108864 bytes")

	// Whole files, but for something else.
	o.Dim = 384
	f(imported("float32.pt"), ErrUnfit, "vectors of 16 numbers, the encoder gives 384", "--encoder")
	f(imported("sklearn_ints.onnx"), ErrUnfit, "vectors of 16 numbers, the encoder gives 384")
	f(imported("sklearn_scaler.onnx"), ErrUnfit, "vectors of 16 numbers, the encoder gives 384")
	o.Dim = importDim
	o.Labels = []string{"Ledelse"}
	f(imported("float32.pt"), ErrUnfit, "1 categories are named, it has 22")
	o.Labels = append(schemas.Jobnet().Names()[:20], "Astronaut", "Pirat")
	f(imported("float32.pt"), schemas.ErrUnknownCategory, `2 labels`, `"Astronaut", "Pirat"`, "--categories")
	o.Labels[20], o.Labels[21] = "Ledelse", "Pirat"
	f(imported("float32.pt"), ErrUnfit, `"Ledelse" and "Ledelse" are the same category`)
	o.Labels = nil

	o.Library = "/nowhere.so"
	if _, err := Import(imported("sklearn_ints.onnx"), o); err == nil || !strings.Contains(err.Error(), "make setup") {
		t.Errorf("without ONNX Runtime: %v", err)
	}
	if _, err := Import(imported("float32.pt"), ImportOptions{}); err == nil || !strings.Contains(err.Error(), "Encoder is empty\nDim (0) must be 1 to 65535") {
		t.Errorf("without options: %v", err)
	}
}
