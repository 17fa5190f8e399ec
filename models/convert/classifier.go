package convert

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/schemas"
)

// Names of an exported classifier's input, [vectors, dim], and output, [vectors, categories].
const (
	ClassifierInput  = "vectors"
	ClassifierOutput = "probabilities"
)

// WriteClassifier writes a sealed classifier as an ONNX model of float32 vectors to probabilities, as they are in training: the prior is
// not changed. Bytes stay bytes. The same classifier always gives the same file.
func WriteClassifier(w io.Writer, c *schemas.Classifier) error {
	if err := models.VerifyClassifier(c); err != nil {
		return fmt.Errorf("writing a classifier as ONNX: %w", err)
	}
	g := &onnx.Graph{Name: "classifier", Producer: "jobstrom", Metadata: map[string]string{
		"id": c.Id, "encoder": c.Encoder, "taxonomy": c.Taxonomy, "categories": strconv.Itoa(int(c.Categories)),
	}}
	dim, categories := int(c.Dim), int(c.Categories)
	g.Input(ClassifierInput, onnx.Float, "n", dim)
	g.Output(ClassifierOutput, onnx.Float, "n", categories)
	x := ClassifierInput
	if len(c.Mean) > 0 {
		x = g.Node("", "Sub", "centred", []string{x, g.Floats("mean", c.Mean, dim)})
	}
	// Rows of one category next to each other.
	order := make([]int, models.Rows(c))
	for r := range order {
		order[r] = r
	}
	slices.SortStableFunc(order, func(a, b int) int { return models.Owner(c, a) - models.Owner(c, b) })
	bias := make([]float32, len(order))
	for i, r := range order {
		bias[i] = c.Bias[r]
	}
	scores := g.Node("", "Gemm", "scores", []string{x, classifierWeights(g, c, order), g.Floats("bias", bias, len(bias))}, onnx.IntAttribute("transB", 1))
	if len(order) > categories {
		scores = mergeRows(g, c, order, scores)
	}
	g.Node("", "Div", "tempered", []string{scores, g.Floats("temperature", []float32{c.Temperature})})
	g.Node("", "Softmax", ClassifierOutput, []string{"tempered"}, onnx.IntAttribute("axis", 1))
	if err := g.Encode(w); err != nil {
		return fmt.Errorf("writing a classifier as ONNX: %w", err)
	}
	return nil
}

// classifierWeights adds the rows in this order and returns their name.
func classifierWeights(g *onnx.Graph, c *schemas.Classifier, order []int) string {
	dim := int(c.Dim)
	if bytes := models.Weights8(c); bytes != nil {
		weights, scales := ordered(bytes, dim, order), ordered(c.Scales, 1, order)
		inputs := []string{g.Tensor("weights.q", onnx.Int8, weights, len(order), dim), g.Floats("weights.scale", scales, len(order))}
		return g.Node("", "DequantizeLinear", "weights", inputs, onnx.IntAttribute("axis", 0))
	}
	return g.Floats("weights", ordered(models.Weights(c), dim, order), len(order), dim)
}

// mergeRows adds log Σ exp over the rows of each category.
func mergeRows(g *onnx.Graph, c *schemas.Classifier, order []int, scores string) string {
	g.Ints("columns", 1)
	var merged []string
	for from := 0; from < len(order); {
		owner, to := models.Owner(c, order[from]), from
		for to < len(order) && models.Owner(c, order[to]) == owner {
			to++
		}
		name := fmt.Sprintf("c%d", owner)
		rows := g.Node("", "Slice", name+".rows", []string{scores, g.Ints(name+".from", int64(from)), g.Ints(name+".to", int64(to)), "columns"})
		merged = append(merged, g.Node("", "ReduceLogSumExp", name, []string{rows}, onnx.IntsAttribute("axes", 1), onnx.IntAttribute("keepdims", 1)))
		from = to
	}
	return g.Node("", "Concat", "merged", merged, onnx.IntAttribute("axis", 1))
}

// ordered returns rows of a width in another order.
func ordered[T any](rows []T, width int, order []int) []T {
	moved := make([]T, 0, len(rows))
	for _, r := range order {
		moved = append(moved, rows[r*width:(r+1)*width]...)
	}
	return moved
}
