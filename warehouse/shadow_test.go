package warehouse

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A reprocessing lies beside the live predictions, touches none of them, and is counted once however often it is inserted.
func TestShadow(t *testing.T) {
	w := openMigrated(t)
	other := prediction(2, "b", "m2")
	other.CategoryIndex = 3
	newer := prediction(1, "a", "m1")
	newer.CategoryIndex, newer.ClassifiedAt = 5, newer.ClassifiedAt.Add(time.Hour)
	live := []PredictionRow{prediction(1, "a", "m0"), newer, prediction(2, "b", "m1"), prediction(4, "d", "m1")}
	agreeing := prediction(1, "a", "m2")
	agreeing.CategoryIndex = 5
	shadow := []ShadowRow{{"trial", agreeing}, {"trial", other}, {"trial", prediction(3, "c", "m2")}, {"another", prediction(1, "a", "m2")}}
	for range 2 {
		if err := errors.Join(w.InsertPredictions(t.Context(), live), w.InsertShadows(t.Context(), shadow)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(shadow[:3], selected[ShadowRow](t, w, "SELECT * FROM shadow_predictions WHERE name = 'trial' ORDER BY raw_offset")); diff != "" {
		t.Errorf("shadow predictions:\n%s", diff)
	}
	if diff := cmp.Diff(live[3:], selected[PredictionRow](t, w, "SELECT * FROM predictions WHERE vacancy_id = 'd'")); diff != "" || counts(t, w)["predictions"] != 4 {
		t.Errorf("live predictions:\n%s", diff)
	}
	f := func(name string, want Comparison) {
		t.Helper()
		if got, err := w.CompareShadow(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, want)
		}
	}
	f("trial", Comparison{Shadow: 3, Both: 2, Same: 1})
	f("another", Comparison{Shadow: 1, Both: 1})
	f("nothing", Comparison{})
}
