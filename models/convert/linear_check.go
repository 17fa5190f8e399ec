package convert

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
	"google.golang.org/protobuf/encoding/protowire"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/schemas"
)

const (
	checkVectors = 64
	checkGap     = 1e-5
)

// graphCheck is what it takes to run a file that was read.
type graphCheck struct {
	file   []byte
	input  onnx.Value
	tensor string // which holds the answers at this stage
	stage  stage
	given  bool // it is an output of the graph
}

// compare runs the file in ONNX Runtime on random vectors and says by how much its probabilities differ from the classifier's; owners are the
// categories of the file's columns.
func (g *graphCheck) compare(c *schemas.Classifier, owners []int, library string) (err error) {
	if err := onnx.Open(library); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, onnx.Close()) }()
	model := g.file
	if !g.given { // a graph that goes on where a file ends is part of the file's
		output := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), g.tensor)
		graph := protowire.AppendBytes(protowire.AppendTag(nil, 12, protowire.BytesType), output)
		model = protowire.AppendBytes(protowire.AppendTag(slices.Clip(model), 7, protowire.BytesType), graph)
	}
	session, err := onnx.SessionOf("the file in ONNX Runtime", model, []string{g.input.Name}, []string{g.tensor}, 1)
	if err != nil {
		return fmt.Errorf("%w: %w", schemas.ErrMalformed, err)
	}
	defer session.Destroy()
	dim, batch, worst := int(c.Dim), checkVectors, 0.0
	if len(g.input.Dims) == 2 && g.input.Dims[0] > 0 {
		if g.input.Dims[0] > maxRows {
			return fmt.Errorf("%w: it takes %d vectors at a time, at most %d are tried", ErrNotLinear, g.input.Dims[0], maxRows)
		}
		batch = int(g.input.Dims[0])
	}
	random := rand.New(rand.NewPCG(1, 1))
	for done := 0; done < checkVectors; done += batch {
		vectors := make([]float32, batch*dim)
		for i := range vectors {
			vectors[i] = float32(random.NormFloat64() / math.Sqrt(float64(dim))) // about as long as an encoder's
			if len(c.Mean) > 0 {
				vectors[i] += c.Mean[i%dim]
			}
		}
		got, err := g.run(session, vectors, batch, dim)
		if err != nil {
			return fmt.Errorf("%w: running the file in ONNX Runtime: %w", schemas.ErrMalformed, err)
		}
		if len(got) != batch*len(owners) {
			return fmt.Errorf("%w: ONNX Runtime gives %d numbers for %d vectors and %d categories", ErrNotLinear, len(got), batch, len(owners))
		}
		for v := range batch {
			theirs := g.probabilities(got[v*len(owners) : (v+1)*len(owners)])
			for i, p := range ours(c, vectors[v*dim:(v+1)*dim], owners) {
				worst = max(worst, math.Abs(p-theirs[i])) // NaN stays NaN
			}
		}
	}
	if !(worst <= checkGap) {
		return fmt.Errorf("%w: a probability of ONNX Runtime is %.2g away from what was read, must be at most %.0e: it computes something else, or with weights too large for float32", ErrNotLinear, worst, checkGap)
	}
	return nil
}

// run returns the numbers that the file gives for vectors, row by row.
func (g *graphCheck) run(session *ort.DynamicAdvancedSession, vectors []float32, batch, dim int) ([]float64, error) {
	var in ort.Value
	var err error
	if shape := ort.NewShape(int64(batch), int64(dim)); g.input.Type == onnx.Double {
		in, err = ort.NewTensor(shape, wide(vectors))
	} else {
		in, err = ort.NewTensor(shape, vectors)
	}
	if err != nil {
		return nil, err
	}
	defer in.Destroy()
	outputs := []ort.Value{nil}
	if err := session.Run([]ort.Value{in}, outputs); err != nil {
		return nil, err
	}
	defer outputs[0].Destroy()
	switch out := outputs[0].(type) {
	case *ort.Tensor[float32]:
		return wide(out.GetData()), nil
	case *ort.Tensor[float64]:
		return slices.Clone(out.GetData()), nil
	}
	return nil, fmt.Errorf("its answers are neither float nor double")
}

// probabilities makes probabilities of one vector's answers.
func (g *graphCheck) probabilities(answers []float64) []float64 {
	p := slices.Clone(answers)
	if g.stage == asScores {
		softmax(p)
	}
	if g.stage == asLogs {
		for i := range p {
			p[i] = math.Exp(p[i])
		}
	}
	return p
}

// ours returns the probabilities that a classifier gives to these categories.
func ours(c *schemas.Classifier, vector []float32, categories []int) []float64 {
	weights, dim := models.Weights(c), int(c.Dim)
	all := make([]float64, models.Rows(c))
	for r := range all {
		s := float64(c.Bias[r])
		for j, w := range weights[r*dim : (r+1)*dim] {
			x := float64(vector[j])
			if len(c.Mean) > 0 {
				x -= float64(c.Mean[j])
			}
			s += float64(w) * x
		}
		all[r] = s
	}
	// log Σ exp over each category's rows, tempered, then softmax.
	scores := repeated(math.Inf(-1), int(c.Categories))
	for r, s := range all {
		k := models.Owner(c, r)
		high, low := max(scores[k], s), min(scores[k], s)
		scores[k] = high + math.Log1p(math.Exp(low-high))
	}
	for k := range scores {
		scores[k] /= float64(c.Temperature)
	}
	softmax(scores)
	p := make([]float64, len(categories))
	for i, k := range categories {
		p[i] = scores[k]
	}
	return p
}

// softmax makes probabilities of scores, in place.
func softmax(scores []float64) {
	best, sum := slices.Max(scores), 0.0
	for i, s := range scores {
		scores[i] = math.Exp(s - best)
		sum += scores[i]
	}
	for i := range scores {
		scores[i] /= sum
	}
}
