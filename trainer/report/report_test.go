package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"jobstrom/schemas"
	"jobstrom/trainer"
)

// trained returns the report of a small training: all categories but the last two occur, the rarer the higher their index.
func trained(t *testing.T) Report {
	t.Helper()
	taxonomy, random := schemas.Jobnet(), rand.New(rand.NewPCG(4, 2))
	const dim, n = 24, 1600
	k := len(taxonomy.Categories)
	centres := make([][]float32, k)
	for c := range centres {
		centres[c] = make([]float32, dim)
		for j := range dim {
			centres[c][j] = float32(random.NormFloat64())
		}
	}
	history := func(yield func(trainer.Row, error) bool) {
		for i := range n {
			c := min(int(float64(k-2)*random.Float64()*random.Float64()), k-3)
			row := trainer.Row{
				Category: c, Vector: make([]float32, dim), ID: fmt.Sprintf("vacancy-%04d", i), Source: []string{"jobnet", "jobindex & co", ""}[i%3],
				ReceivedAt: time.Date(2026, time.Month(1+i%5), 1+i%28, 0, 0, 0, 0, time.UTC),
			}
			for j := range dim {
				row.Vector[j] = centres[c][j] + 1.3*float32(random.NormFloat64())
			}
			if !yield(row, nil) {
				return
			}
		}
	}
	started := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	r, err := trainer.Run(t.Context(), history, trainer.RunOptions{
		Encoder: strings.Repeat("e5", 32), Taxonomy: taxonomy, Settings: []trainer.Setting{{Method: trainer.MethodLBFGS, ClassWeights: trainer.WeightsNone, L2: 1e-1}, {Method: trainer.MethodLBFGS, ClassWeights: trainer.WeightsNone, L2: 1e-2}}, Folds: 3, LeaveOneOut: true, Seed: 1, TrainedAt: started,
	})
	if err != nil {
		t.Fatal(err)
	}
	variants, err := trainer.Variants(context.Background(), r.Classifier, taxonomy, r.TestPart.Examples, trainer.CompressOptions{Batches: 3, Batch: 64})
	if err != nil {
		t.Fatal(err)
	}
	comparison, err := trainer.CompareWith(variants[2].Classifier(), taxonomy, r.TestPart)
	if err != nil {
		t.Fatal(err)
	}
	return New(r, Options{Champion: variants[2].Model, Comparison: &comparison, Taxonomy: taxonomy, Version: "v1.2", Started: started, Finished: started.Add(time.Minute), Variants: variants, Resamples: 50, Mistakes: 10})
}

func TestWrite(t *testing.T) {
	r := trained(t)
	dir := filepath.Join(t.TempDir(), "new", "report")
	if keep := os.Getenv("JOBSTROM_REPORT"); keep != "" {
		dir = keep
	}
	paths, err := r.Write(dir)
	if err != nil || len(paths) != 3 {
		t.Fatalf("written %v, %v", paths, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, PageFile))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	// Nothing is fetched and nothing runs: the page is the same in ten years and without a network.
	if m := regexp.MustCompile(`(?i)(src|href)=|<script|<link|@import|url\(`).FindString(text); m != "" {
		t.Errorf("the page has %q", m)
	}
	for address := range strings.SplitSeq(text, "http") {
		if !strings.HasPrefix(address, "<!doctype") && !strings.HasPrefix(address, "://www.w3.org/") {
			t.Errorf("the page names http%.40s", address)
		}
	}
	wellFormed(t, data)
	for _, want := range []string{
		r.Model, "Tekstil og beklædning", "vacancy-", "jobindex &amp; co", "2026-W", "int8", "pruned (sparse)", "lbfgs l2=0.01 weights=none", "v1.2", "Held out in turn", "fold 3", "each vacancy", r.Mistakes[0].ID, "Balanced accuracy", "unknown", "McNemar", r.Champion[:12],
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(text, "<svg"); n != 7 {
		t.Errorf("%d drawings", n)
	}
	for _, bad := range []string{"NaN", "Inf", "%!", "<no value>"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	if data, err = os.ReadFile(filepath.Join(dir, NumbersFile)); err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	if again.Model != r.Model || again.Evaluation.MacroF1 != r.Evaluation.MacroF1 || len(again.Variants) != 4 || len(again.Mistakes) != 10 || again.Intervals["macro_f1"] != r.Intervals["macro_f1"] || len(again.ByTime) != len(r.ByTime) || len(r.ByTime) < 18 {
		t.Errorf("the numbers are %s", data)
	}
	metrics := r.Metrics()
	for _, name := range []string{"macro_f1", "macro_f1_low", "macro_f1_high", "int8_bytes", "both_agreement", "plain_batch_seconds", "brier", "folds_macro_f1", "leave_one_out_log_loss"} {
		if _, ok := metrics[name]; !ok {
			t.Errorf("no figure %s", name)
		}
	}
	if onnx, err := os.ReadFile(filepath.Join(dir, ONNXFile)); err != nil || !bytes.Contains(onnx, []byte(r.Model)) {
		t.Errorf("the ONNX file does not name the classifier (%v)", err)
	}
}

// wellFormed holds that every element that is opened is closed, which templates get wrong unnoticed.
func wellFormed(t *testing.T, data []byte) {
	t.Helper()
	void := map[string]bool{"meta": true, "br": true, "path": true, "line": true, "rect": true, "circle": true}
	optional := map[string]bool{"html": true}
	var open []string
	for z := html.NewTokenizer(bytes.NewReader(data)); ; {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) != 0 {
				t.Errorf("%v stay open", open)
			}
			return
		case html.StartTagToken:
			name, _ := z.TagName()
			if n := string(name); !void[n] && !optional[n] {
				open = append(open, n)
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("</%s> within %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

// A report of a training without variants, curves, sources and times has a page too.
func TestBare(t *testing.T) {
	full := trained(t)
	r := Report{Model: full.Model, Categories: full.Categories, Evaluation: trainer.Evaluate(nil, nil, len(full.Categories))}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, page.Bytes())
	if text := page.String(); strings.Contains(text, "<h2>Variants") || strings.Contains(text, "<h2>Slices") || strings.Contains(text, "NaN") {
		t.Error("the page has parts that are empty, or figures that are none")
	}
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := full.Write(blocked); err == nil || !strings.Contains(err.Error(), "writing the report") {
		t.Errorf("a folder that is a file gives %v", err)
	}
}
