package drift

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestReadVectorsSamples(t *testing.T) {
	w := openInstalled(t)
	rows := goldenRows(60, 10, 6)
	if err := w.InsertEmbeddings(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	read := func(limit int, seed uint64) *Vectors {
		t.Helper()
		v, err := ReadVectors(t.Context(), w, january("").Reference, "e", limit, seed)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	ids := func(v *Vectors) (ids []string) {
		for _, r := range v.Rows {
			ids = append(ids, r.VacancyID)
		}
		return ids
	}
	all := read(60, 1)
	if all.Of != 60 || len(all.Rows) != 60 || all.Width != 6 {
		t.Fatalf("read %d rows of %d, %d wide, want 60 of 60, 6 wide", len(all.Rows), all.Of, all.Width)
	}
	for i, r := range all.Rows {
		if !slices.Equal(all.Row(i), rows[i].Vector) || r.VacancyID != rows[i].VacancyID || len(r.EmployerHash) != 32 || !r.Day().Equal(rows[i].PublishedAt.Truncate(24*time.Hour)) {
			t.Fatalf("row %d is %v %v, want %v %v", i, r, all.Row(i), rows[i].VacancyID, rows[i].Vector)
		}
	}
	sample := read(20, 1)
	if sample.Of != 60 || len(sample.Rows) != 20 || len(sample.Data) != 120 {
		t.Fatalf("sampled %d rows of %d, want 20 of 60", len(sample.Rows), sample.Of)
	}
	if !slices.Equal(ids(sample), ids(read(20, 1))) {
		t.Error("the same seed chose other rows")
	}
	if slices.Equal(ids(sample), ids(read(20, 2))) {
		t.Error("another seed chose the same rows")
	}
	none, err := ReadVectors(t.Context(), w, Window{day(-9, 0), day(-8, 0)}, "e", 5, 1)
	if err != nil || len(none.Rows) != 0 || none.Of != 0 {
		t.Errorf("an empty window gave %v, %v", none, err)
	}
}

func TestMapFindsThePlane(t *testing.T) {
	// Points of a plane in four dimensions, spread 3 along (0, 0.6, 0.8, 0) and 1 along (1, 0, 0, 0), and no third direction.
	plane := func(along, across []float32) *Vectors {
		v := &Vectors{Width: 4}
		for i := range along {
			v.Data = append(v.Data, 5+across[i], .6*along[i], .8*along[i], -2)
			v.Rows = append(v.Rows, VectorRow{VacancyID: string(rune('a' + i))})
		}
		return v
	}
	m, err := NewMap(plane([]float32{-3, 3}, []float32{0, 0}), plane([]float32{0, 0}, []float32{-1, 1}))
	if err != nil {
		t.Fatal(err)
	}
	want := []Point{{VacancyID: "a", X: -3}, {VacancyID: "b", X: 3}, {VacancyID: "a", Y: -1}, {VacancyID: "b", Y: 1}}
	for i, got := range append(m.Reference, m.Current...) {
		if got.VacancyID != want[i].VacancyID || math.Abs(got.X-want[i].X) > 1e-6 || math.Abs(got.Y-want[i].Y) > 1e-6 {
			t.Errorf("point %d is %v, want %v", i, got, want[i])
		}
	}
	if math.Abs(m.Explained[0]-.9) > 1e-6 || math.Abs(m.Explained[1]-.1) > 1e-6 {
		t.Errorf("the axes explain %v, want 0.9 and 0.1", m.Explained)
	}
	still, err := NewMap(plane([]float32{1}, []float32{1}), plane([]float32{1}, []float32{1}))
	if err != nil || still.Reference[0] != (Point{VacancyID: "a"}) || still.Explained != [2]float64{} {
		t.Errorf("vectors that do not vary: %v, %v", still, err)
	}
	if _, err := NewMap(&Vectors{Width: 4}, plane([]float32{1}, []float32{1})); err == nil {
		t.Error("an empty window was mapped")
	}
	if _, err := NewMap(plane([]float32{float32(math.NaN())}, []float32{1}), plane([]float32{1}, []float32{1})); err == nil {
		t.Error("vectors that are not finite were mapped")
	}
}
