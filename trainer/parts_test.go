package trainer

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestPartsComeBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := Parts(rapid.MapOf(rapid.StringMatching(`[^\r]+`), rapid.SampledFrom(allParts)).Draw(r, "parts"))
		var file, again bytes.Buffer
		if err := want.Write(&file); err != nil {
			r.Fatal(err)
		}
		if err := want.Write(&again); err != nil || !bytes.Equal(file.Bytes(), again.Bytes()) {
			r.Fatalf("written twice it is another file (%v)", err)
		}
		got, err := ReadParts(&file)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			r.Fatalf("%v\n%s", err, diff)
		}
	})
}

func TestReadPartsFailure(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var file bytes.Buffer
		w := gzip.NewWriter(&file)
		fmt.Fprint(w, text)
		w.Close()
		if _, err := ReadParts(&file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	f("", "EOF")
	f("id,part\n", `line 1 is ["id" "part"], want the header ["vacancy_id" "part"]`)
	f("vacancy_id,part\na,train\nb,holdout\n", `line 3: part "holdout" must be one of`)
	f("vacancy_id,part\na,train\na,test\n", `line 3: vacancy "a" is there twice`)
	f("vacancy_id,part\na\n", "wrong number of fields")
	if _, err := ReadParts(strings.NewReader("vacancy_id,part\n")); err == nil || !strings.Contains(err.Error(), "CSV in gzip") {
		t.Errorf("got %v", err)
	}
}

func TestSplitByTime(t *testing.T) {
	times := make([]time.Time, 10)
	for i := range times {
		times[i] = time.Unix(int64(100-10*i), 0) // the first is the newest
	}
	s, err := SplitByTime(times, .2, .3)
	if diff := cmp.Diff(Split{Train: []int{5, 6, 7, 8, 9}, Validation: []int{3, 4}, Test: []int{0, 1, 2}}, s); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	f := func(times []time.Time, validation, test float64, want string) {
		t.Helper()
		if _, err := SplitByTime(times, validation, test); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(times, .5, .5, "must be >= 0 and leave a share for training")
	f([]time.Time{time.Unix(1, 0), {}}, .2, .2, "nobody knows when example 1 came")
}

// A training is repeated by its parts, when there is more history and when there is less.
func TestRunRepeatsASplit(t *testing.T) {
	e := clouds(700, 6, 3, 1, 4)
	o := RunOptions{Encoder: "enc", Taxonomy: taxonomy(t), Settings: penalties(1e-2), Seed: 3, TrainedAt: time.Unix(1, 0)}
	run := func(e Examples, o RunOptions) *Result {
		t.Helper()
		r, err := Run(t.Context(), history(e, nil), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r
	}
	first := 600
	some := Examples{Vectors: e.Vectors[:first], Categories: e.Categories[:first], Groups: e.Groups[:first]}
	original := run(some, o)
	o.Repeat = original.Parts
	more := run(e, o)
	if !slices.Equal(more.Classifier.Weights, original.Classifier.Weights) || more.LeftOut != 100 || more.Gone != 0 {
		t.Errorf("with more history another classifier is made; %d are left out, %d gone", more.LeftOut, more.Gone)
	}
	if diff := cmp.Diff(original.Parts, more.Parts); diff != "" {
		t.Error(diff)
	}
	less := run(Examples{Vectors: e.Vectors[:500], Categories: e.Categories[:500], Groups: e.Groups[:500]}, o)
	if less.Gone != 100 || less.LeftOut != 0 || less.Train+less.Validation+less.Test != 500 {
		t.Errorf("with less history %d are left out, %d gone", less.LeftOut, less.Gone)
	}
	o.Repeat, o.Split = nil, ByTime
	byTime := run(e, o)
	for id, part := range byTime.Parts {
		var at int
		fmt.Sscan(id, &at)
		if want := map[bool]Part{at < 490: TrainPart, at >= 490 && at < 595: ValidationPart, at >= 595: HeldOutPart}[true]; part != want {
			t.Fatalf("vacancy %s is in %s, want %s", id, part, want)
		}
	}
	if m := byTime.Classifier.Card.Split.Method; m != "the newest are tested on" {
		t.Errorf("the card says %q", m)
	}
	o.Split = "coin"
	if _, err := Run(t.Context(), history(e, nil), o); err == nil || !strings.Contains(err.Error(), `Split ("coin") must be one of`) {
		t.Errorf("got %v", err)
	}
	o.Split, o.Repeat = "", Parts{"0": TrainPart, "1": TrainPart, "absent": HeldOutPart}
	if _, err := Run(t.Context(), history(e, nil), o); err == nil || !strings.Contains(err.Error(), "2 to train on, 0 to choose by and 0 to evaluate on") {
		t.Errorf("got %v", err)
	}
}
