package convert

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/classify"
	"jobstrom/schemas"
)

// TestWriteClassifier runs exported classifiers in ONNX Runtime: the probabilities are those of the pipeline.
func TestWriteClassifier(t *testing.T) {
	native, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := onnx.Open(filepath.Join(native, models.LibraryONNXRuntime)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { onnx.Close() })
	taxonomy, random := schemas.Jobnet(), rand.New(rand.NewPCG(1, 1))
	const dim, n = 384, 100
	categories := len(taxonomy.Categories)
	classifier := func(change func(*schemas.Classifier)) *schemas.Classifier {
		c := &schemas.Classifier{Encoder: "e", Taxonomy: taxonomy.ID, Dim: dim, Categories: uint32(categories), Temperature: 1.7, Mean: make([]float32, dim)}
		for range categories {
			c.Bias = append(c.Bias, float32(random.NormFloat64()))
			for range dim {
				c.Weights = append(c.Weights, float32(.5*random.NormFloat64()))
			}
		}
		for j := range c.Mean {
			c.Mean[j] = float32(.02 * random.NormFloat64())
		}
		change(c)
		if err := models.SealClassifier(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	flat := make([]float32, n*dim)
	for i := range flat {
		flat[i] = float32(random.NormFloat64() / math.Sqrt(dim)) // about as long as an encoder's
	}
	vectors := make([][]float32, n)
	for i := range vectors {
		vectors[i] = flat[i*dim : (i+1)*dim]
	}
	several := func(c *schemas.Classifier) {
		// Two rows more for each category, in an order that puts them apart.
		c.Weights, c.Bias = append(c.Weights, append(c.Weights[dim:], c.Weights...)...), append(c.Bias, append(c.Bias, c.Bias...)...)
		c.Weights = append(c.Weights, make([]float32, len(c.Bias)*dim-len(c.Weights))...)
		for r := range c.Bias {
			c.Owners = append(c.Owners, uint32((r*7+3)%categories))
		}
	}
	f := func(name string, change func(*schemas.Classifier)) {
		t.Helper()
		c := classifier(change)
		path := filepath.Join(t.TempDir(), "classifier.onnx")
		var file, again bytes.Buffer
		if err := WriteClassifier(&file, c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := WriteClassifier(&again, c); err != nil || !bytes.Equal(file.Bytes(), again.Bytes()) {
			t.Fatalf("%s: another file the second time (%v)", name, err)
		}
		if !bytes.Contains(file.Bytes(), []byte(c.Id)) {
			t.Errorf("%s: the file does not name the classifier", name)
		}
		if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		session, err := onnx.Session(path, []string{ClassifierInput}, []string{ClassifierOutput}, onnx.Execution{Provider: onnx.CPU, Threads: 1, Runs: 1})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer session.Destroy()
		in, err := ort.NewTensor(ort.NewShape(n, dim), flat)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Destroy()
		outputs := []ort.Value{nil}
		if err := session.Run([]ort.Value{in}, outputs); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer outputs[0].Destroy()
		got := outputs[0].(*ort.Tensor[float32]).GetData()
		opened, err := classify.New(c, taxonomy, classify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := opened.Classify("e", vectors)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != n*categories {
			t.Fatalf("%s: %d probabilities", name, len(got))
		}
		var worst float64
		for i, p := range got {
			worst = max(worst, math.Abs(float64(p-want[i/categories].Probabilities[i%categories])))
		}
		if !(worst <= 1e-5) {
			t.Errorf("%s: a probability of ONNX Runtime is %.2g away", name, worst)
		}
	}
	f("plain", func(*schemas.Classifier) {})
	f("without mean", func(c *schemas.Classifier) { c.Mean = nil })
	f("bytes", models.Quantize)
	f("pruned", func(c *schemas.Classifier) { models.Prune(c, .3) })
	f("pruned bytes", func(c *schemas.Classifier) { models.Prune(c, .3); models.Quantize(c) })
	f("several rows", several)
	f("several rows in bytes", func(c *schemas.Classifier) { several(c); models.Quantize(c) })

	unsealed := classifier(func(*schemas.Classifier) {})
	unsealed.Bias[0]++
	if err := WriteClassifier(&bytes.Buffer{}, unsealed); err == nil {
		t.Error("a changed classifier was written")
	}
}
