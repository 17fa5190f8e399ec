package trainer

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"jobstrom/models"
	"jobstrom/schemas"
)

// trained returns a sealed classifier of three clouds in 32 numbers, and its test part.
func trained(t *testing.T) (*schemas.Classifier, Examples) {
	t.Helper()
	e := clouds(2400, 32, 3, 1.2, 5)
	split, err := SplitExamples(e.Categories, nil, .2, .5, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := fit(t, e.Select(split.Train), Options{Categories: 3, L2: 1e-3})
	c.Encoder, c.Taxonomy, c.Metrics = "enc", taxonomy(t).ID, Evaluation{}.Metrics()
	if err := models.SealClassifier(c); err != nil {
		t.Fatal(err)
	}
	return c, e.Select(split.Test)
}

func TestVariants(t *testing.T) {
	c, test := trained(t)
	before := proto.Clone(c)
	all, err := Variants(t.Context(), c, taxonomy(t), test, CompressOptions{Prune: .5, Batches: 3, Batch: 700})
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(c, before) || len(all) != 4 {
		t.Fatalf("%d variants; the plain classifier was changed: %v", len(all), !proto.Equal(c, before))
	}
	plain, int8s, pruned, both := all[0], all[1], all[2], all[3]
	want := Evaluate(Probabilities(Scores(c, test.Vectors), 1), test.Categories, 3)
	if plain.Model != c.Id || plain.Agreement != 1 || plain.Zeros != 0 || plain.Sparse || plain.Top1 != want.Top1 || math.Abs(plain.LogLoss-want.LogLoss) > 1e-5 {
		t.Errorf("plain has top-1 %v and log loss %v, want %v and %v", plain.Top1, plain.LogLoss, want.Top1, want.LogLoss)
	}
	for i, v := range all {
		if v.Kind != Kinds[i] || v.BatchTime <= 0 || v.TotalTime < v.BatchTime || v.Top1 < plain.Top1-.1 || v.Agreement < .8 {
			t.Errorf("%s: top-1 %v, agreement %v, %v a batch, %v in all", v.Kind, v.Top1, v.Agreement, v.BatchTime, v.TotalTime)
		}
		if err := models.VerifyClassifier(v.Classifier()); err != nil || v.Classifier().Id != v.Model {
			t.Errorf("%s: %v", v.Kind, err)
		}
	}
	if int8s.Agreement < .99 || int8s.WeightBytes >= plain.WeightBytes/2 || int8s.Bytes >= plain.Bytes {
		t.Errorf("int8: %d of %d bytes, %d of %d in memory, agreement %v", int8s.Bytes, plain.Bytes, int8s.WeightBytes, plain.WeightBytes, int8s.Agreement)
	}
	if pruned.Zeros != .5 || !pruned.Sparse || both.Zeros < .5 || both.Sparse || pruned.Bytes >= plain.Bytes || both.Bytes >= int8s.Bytes {
		t.Errorf("pruned: %v zeros, %d bytes; both: %v zeros, %d bytes", pruned.Zeros, pruned.Bytes, both.Zeros, both.Bytes)
	}
	v := both.Classifier()
	if v.Training["variant"] != Both || v.Training["variant_of"] != c.Id || v.Training["pruned"] != "0.5" || v.Training["int8_scale"] != "row" || v.Metrics["top1"] != both.Top1 {
		t.Errorf("settings %v, metrics %v", v.Training, v.Metrics)
	}
	r := Result{Classifier: c}
	if r.Take(both); r.Classifier.Id != both.Model || r.Evaluation.Top1 != both.Top1 || len(r.TestPart.Probabilities) != test.Len() {
		t.Errorf("the result that takes it is %.12s with %v", r.Classifier.Id, r.Evaluation.Top1)
	}
	comparison, err := CompareWith(c, taxonomy(t), TestPart{Examples: test, Probabilities: r.TestPart.Probabilities})
	if err != nil || comparison.Champion.Top1 != plain.Top1 || comparison.Challenger.Top1 != both.Top1 || comparison.McNemar.P > 1 {
		t.Errorf("beside the plain one: %+v, %v", comparison.McNemar, err)
	}
	if _, err := CompareWith(c, schemas.Jobnet(), TestPart{}); err == nil || !strings.Contains(err.Error(), "another taxonomy") {
		t.Errorf("a champion of other categories gives %v", err)
	}
	tensor, err := Compress(c, Int8, CompressOptions{PerTensor: true})
	if err != nil || tensor.Scales[0] != tensor.Scales[2] || tensor.Training["int8_scale"] != "tensor" {
		t.Errorf("one scale: %v, %v", tensor.GetScales(), err)
	}
	if table := VariantTable(all); !strings.Contains(table, "50.0 %") || strings.Count(table, "\n") != 7 {
		t.Errorf("the table is\n%s", table)
	}
	for _, bad := range []struct {
		kind string
		o    CompressOptions
		want string
	}{{"zip", CompressOptions{}, `no variant "zip"`}, {Pruned, CompressOptions{Prune: 1, Batch: -1}, "prune (1)"}, {Pruned, CompressOptions{Prune: -1, Batch: -1}, "batch (-1)"}} {
		if _, err := Compress(c, bad.kind, bad.o); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("Compress(%q, %+v) = %v", bad.kind, bad.o, err)
		}
	}
}
