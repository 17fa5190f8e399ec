package drift

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jobstrom/embedded/clickhousetest"
	"jobstrom/schemas"
	"jobstrom/security"
	"jobstrom/warehouse"
)

// january and its halves are the windows of these tests.
func january(encoder string) EmbeddingWindows {
	return EmbeddingWindows{Reference: Window{day(1, 0), day(16, 0)}, Current: Window{day(16, 0), day(32, 0)}, Encoder: encoder}
}

// goldenRow is row i of make_components.py's vectors.
func goldenRow(i, width int, current bool) []float32 {
	v := make([]float32, width)
	for j := range v {
		x := uint64(i*width+j) + 0x9E3779B97F4A7C15
		x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
		x = (x ^ x>>27) * 0x94D049BB133111EB
		x ^= x >> 31
		u := float64(x>>44)/(1<<20) - .5
		switch {
		case j%5 == 1 && current:
			u += 1. / 8
		case j%5 == 2:
			u = math.Floor(u*8) / 8
		case j%5 == 3:
			u = .1
		case j%5 == 4 && !current:
			u = .3
		}
		v[j] = float32(u)
	}
	return v
}

// vectorRow is a row with the coordinates and the id of its number.
func vectorRow(i int, encoder string, vector []float32, published time.Time) warehouse.EmbeddingRow {
	return warehouse.EmbeddingRow{
		Coordinates: warehouse.Coordinates{TopicID: uuid.UUID{1}, Offset: int64(i)}, ReceivedAt: day(30, 0), VacancyID: fmt.Sprint("v", i), Encoder: encoder,
		EmployerHash: fmt.Appendf(nil, "employer-%07d", i%7), Vector: vector, PublishedAt: published,
	}
}

func goldenRows(n, m, width int) []warehouse.EmbeddingRow {
	var rows []warehouse.EmbeddingRow
	for i := range n + m {
		published := day(1, float64(i)/4)
		if i >= n {
			published = day(16, float64(i-n)/4)
		}
		rows = append(rows, vectorRow(i, "e", goldenRow(i, width, i >= n), published))
	}
	return rows
}

func TestComponentsAreEvidentlysAndSciPys(t *testing.T) {
	data, err := os.ReadFile("testdata/components.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Width, N, M int
		Share       float64
		Distances   [4]float64
		Components  [][12]float64
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	for _, g := range golden {
		t.Run(fmt.Sprint(g.Width), func(t *testing.T) {
			w := openInstalled(t)
			if err := w.InsertEmbeddings(t.Context(), goldenRows(g.N, g.M, g.Width)); err != nil {
				t.Fatal(err)
			}
			d, err := CompareEmbeddings(t.Context(), w, january("e"))
			if err != nil {
				t.Fatal(err)
			}
			for k, got := range []float64{d.Euclidean, *d.Cosine, d.Cityblock, d.Chebyshev} {
				if !near(got, g.Distances[k]) {
					t.Errorf("distance %d of the means is %v, want %v", k, got, g.Distances[k])
				}
			}
			// In slices that do not divide the width, so that the last is short.
			components, err := CompareComponents(t.Context(), w, january("e"), ComponentOptions{Values: 300 * (g.N + g.M)})
			if err != nil {
				t.Fatal(err)
			}
			if len(components) != g.Width {
				t.Fatalf("got %d components, want %d", len(components), g.Width)
			}
			if got := DriftedShare(components, WassersteinDrift); !near(got, g.Share) {
				t.Errorf("the share of drifted components is %v, want %v", got, g.Share)
			}
			for _, want := range g.Components {
				c := components[int(want[0])-1]
				z := 0.
				if c.Z != nil {
					z = *c.Z
				}
				got := [12]float64{float64(c.Component), c.RefMean, c.CurMean, c.RefStd, c.CurStd, c.Wasserstein, c.KS, c.KSP, c.KSQ, z, c.ZP, c.ZQ}
				for k := range got {
					if !near(got[k], want[k]) {
						t.Errorf("component %d: figure %d is %v, want %v", c.Component, k, got[k], want[k])
					}
				}
			}
			// The views' own q and share, over all components at once.
			var share, ksQ, zQ float64
			if err := w.Conn().QueryRow(january("e").query(t.Context(), nil), `SELECT (SELECT assumeNotNull(share) FROM drift_embedding_share(`+embeddingWindows+`)),
				assumeNotNull(ks_q), assumeNotNull(z_q) FROM drift_components(`+embeddingWindows+`, component_from = 1, component_to = 5000) WHERE component = 30`).Scan(&share, &ksQ, &zQ); err != nil {
				t.Fatal(err)
			}
			if c := g.Components[1]; !near(share, g.Share) || !near(ksQ, c[8]) || !near(zQ, c[11]) {
				t.Errorf("the views say share %v and q %v, %v, want %v and %v, %v", share, ksQ, zQ, g.Share, c[8], c[11])
			}
		})
	}
}

func TestReplayChangesNoEmbeddingAnswerAndErasureDoes(t *testing.T) {
	w := openInstalled(t)
	rows := goldenRows(30, 25, 10)
	if err := w.InsertEmbeddings(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	answer := func() string {
		t.Helper()
		d, err := CompareEmbeddings(t.Context(), w, january(""))
		if err != nil {
			t.Fatal(err)
		}
		components, err := CompareComponents(t.Context(), w, january(""), ComponentOptions{})
		if err != nil {
			t.Fatal(err)
		}
		examples, err := NearestToShift(t.Context(), w, january(""), 3)
		if err != nil {
			t.Fatal(err)
		}
		said, err := json.Marshal([]any{d.N, d.M, fmt.Sprintf("%.9f", d.Euclidean), fmt.Sprintf("%.9f", components[1].Wasserstein), components[1].KS, len(examples), examples[0].VacancyID})
		if err != nil {
			t.Fatal(err)
		}
		return string(said)
	}
	first := answer()
	if err := w.InsertEmbeddings(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if again := answer(); again != first {
		t.Errorf("after a replay the answer is %s, was %s", again, first)
	}
	examples, err := NearestToShift(t.Context(), w, january(""), 3)
	if err != nil {
		t.Fatal(err)
	}
	erased := examples[0].VacancyID
	if err := w.Conn().Exec(t.Context(), `INSERT INTO erasure_rows (vacancy_id, topic_id, topic_partition, topic_offset, erased_at) VALUES (?, ?, 0, 1000, now64(3))`, erased, uuid.UUID{1}.String()); err != nil {
		t.Fatal(err)
	}
	after := answer()
	if !strings.HasPrefix(after, "[30,24,") || strings.Contains(after, `"`+erased+`"`) {
		t.Errorf("after the erasure of %s the answer is %s, was %s", erased, after, first)
	}
}

func TestIncomparableEmbeddings(t *testing.T) {
	w := openInstalled(t)
	rows := goldenRows(30, 25, 10)
	for i := range 12 { // other encoders', in the same time
		rows = append(rows, vectorRow(100+i, "other", []float32{1, 2}, day(1+i, 0)), vectorRow(200+i, "other", []float32{1, 2}, day(18, 0)))
		wide := []float32{1, 2}
		if i == 3 {
			wide = append(wide, 3)
		}
		rows = append(rows, vectorRow(300+i, "ragged", wide, day(1+i, 0)), vectorRow(400+i, "ragged", wide, day(18, 0)))
		rows = append(rows, vectorRow(500+i, "wild", []float32{1, float32(math.NaN())}, day(1+i, 0)), vectorRow(600+i, "wild", []float32{1, 2}, day(18, 0)))
	}
	if err := w.InsertEmbeddings(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	f := func(name, want string, windows EmbeddingWindows) {
		t.Helper()
		_, err := CompareEmbeddings(t.Context(), w, windows)
		if !errors.Is(err, ErrIncomparable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: comparing embeddings: %v, want %q", name, err, want)
		}
		_, err = CompareComponents(t.Context(), w, windows, ComponentOptions{})
		if !errors.Is(err, ErrIncomparable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: comparing components: %v, want %q", name, err, want)
		}
	}
	// The views answer such windows with NULLs, never NaN: those that never were read, and those that were.
	nulls := func(name string, windows EmbeddingWindows) {
		t.Helper()
		if found, err := NearestToShift(t.Context(), w, windows, 3); err != nil || len(found) > 0 {
			t.Errorf("%s: found %d examples (%v), want none", name, len(found), err)
		}
		var distances, components, share uint64
		if err := w.Conn().QueryRow(windows.query(t.Context(), nil), `SELECT
			(SELECT count() FROM drift_embeddings(`+embeddingWindows+`) WHERE euclidean IS NULL AND cosine IS NULL AND cityblock IS NULL AND chebyshev IS NULL AND width IS NULL AND note != ''),
			(SELECT count() FROM drift_components(`+embeddingWindows+`, component_from = 1, component_to = 5) WHERE component IS NULL AND wasserstein IS NULL AND ks IS NULL AND ks_p IS NULL
				AND ks_q IS NULL AND z IS NULL AND z_p IS NULL AND z_q IS NULL AND ref_mean IS NULL AND cur_std IS NULL AND note != ''),
			(SELECT count() FROM drift_embedding_share(`+embeddingWindows+`) WHERE share IS NULL AND note != '')`).Scan(&distances, &components, &share); err != nil {
			t.Fatal(err)
		}
		if distances != 1 || components != 1 || share != 1 {
			t.Errorf("%s: rows of NULLs and a note: %d, %d, %d, want 1 of each view", name, distances, components, share)
		}
	}
	f("empty", "the reference window is empty", EmbeddingWindows{Reference: Window{day(-9, 0), day(-8, 0)}, Current: january("").Current, Encoder: "e"})
	f("small", "the reference window holds 4 rows, at least 10 are needed", EmbeddingWindows{Reference: Window{day(1, 0), day(1, 1)}, Current: january("").Current, Encoder: "e"})
	f("overlapping", "the windows overlap", EmbeddingWindows{Reference: Window{day(1, 0), day(17, 0)}, Current: january("").Current, Encoder: "e"})
	f("several encoders", "several encoders, choose one: e, other, ragged, wild", january(""))
	f("unknown encoder", "no vectors of the encoder absent", january("absent"))
	f("unequal width", "unequal width, 2 to 3", january("ragged"))
	f("not finite", "not finite", january("wild"))
	f("injection", "no vectors of the encoder ", january(`' OR 1 = 1 OR encoder = '`))
	f("injection with a backslash", "no vectors of the encoder ", january(`\' OR 1 = 1 --`))

	nulls("unknown encoder", january("absent"))
	nulls("unequal width", january("ragged"))
	nulls("not finite", january("wild"))

	if _, err := CompareEmbeddings(t.Context(), w, EmbeddingWindows{Reference: Window{day(2, 0), day(1, 0)}, Current: january("").Current}); err == nil || !strings.Contains(err.Error(), "ends before it begins") {
		t.Errorf("a window that ends before it begins: %v", err)
	}
	for encoder, want := range map[string]string{"": "4 encoders", "ragged": "3 components"} {
		if _, err := ReadVectors(t.Context(), w, january("").Reference, encoder, 1000, 1); !errors.Is(err, ErrIncomparable) || !strings.Contains(err.Error(), want) {
			t.Errorf("reading vectors of encoder %q: %v, want %q", encoder, err, want)
		}
	}
	if _, err := ReadVectors(t.Context(), w, january("").Reference, "e", 0, 1); err == nil || !strings.Contains(err.Error(), "limit (0)") {
		t.Errorf("reading no vectors: %v", err)
	}
}

func TestAnalystsCompareEmbeddings(t *testing.T) {
	w := openInstalled(t)
	if err := w.InsertEmbeddings(t.Context(), goldenRows(30, 25, 10)); err != nil {
		t.Fatal(err)
	}
	analyst, err := warehouse.Open(t.Context(), warehouse.Options{
		Addr: []string{clickhousetest.Engine(t).Addr()}, Database: "default", Username: "analyst", Password: security.Credential{Value: "s3cret-of-the-test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer analyst.Close()
	for view, want := range map[string]uint64{
		"drift_vectors(%s)": 55, "drift_embedding_windows(%s)": 1, "drift_components(%s, component_from = 3, component_to = 7)": 5, "drift_embeddings(%s)": 1,
		"drift_embedding_share(%s)": 1, "drift_nearest(%s, examples = 2)": 4, "drift_category_embeddings(%s, model = 'none')": 0,
	} {
		var got uint64
		call := fmt.Sprintf(view, "ref_from = '2026-01-01', ref_to = '2026-01-16', cur_from = '2026-01-16', cur_to = '2026-02-01', encoder = 'e'")
		if err := analyst.Conn().QueryRow(t.Context(), "SELECT count() FROM (SELECT * FROM "+clickhousetest.Database(t)+"."+call+")").Scan(&got); err != nil {
			t.Errorf("%s: %v", view, err)
		} else if got != want {
			t.Errorf("%s: %d rows, want %d", view, got, want)
		}
	}
}

func TestCategoryShifts(t *testing.T) {
	w := openInstalled(t)
	rows := goldenRows(30, 30, 4)
	var predictions []warehouse.PredictionRow
	for i, r := range rows {
		category := uint16(0)
		if i < 10 || i == 32 || i >= 50 { // 10 of 30 before; 11 of 30 after, moved by (3, 4)
			category = 1
			r.Vector[2], r.Vector[3] = 0, 0
			r.Vector[0], r.Vector[1] = 1, 0
			if i >= 30 {
				r.Vector[0], r.Vector[1] = 4, 4
			}
		}
		if i == 30 || i == 31 {
			category = 2 // only after, and few
		}
		predictions = append(predictions, warehouse.PredictionRow{Coordinates: r.Coordinates, ReceivedAt: r.ReceivedAt, VacancyID: r.VacancyID, Model: "m", Encoder: "e",
			CategoryIndex: category, Category: schemas.Jobnet().Names()[category], PublishedAt: r.PublishedAt, ClassifiedAt: r.PublishedAt})
	}
	if err := errors.Join(w.InsertEmbeddings(t.Context(), rows), w.InsertPredictions(t.Context(), predictions)); err != nil {
		t.Fatal(err)
	}
	shifts, err := CategoryShifts(t.Context(), w, january("e"), "m")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range shifts {
		distance := "none"
		if s.CategoryIndex == 1 && s.EuclideanDistance != nil {
			distance = fmt.Sprintf("%.6f", *s.EuclideanDistance)
		}
		got = append(got, fmt.Sprintf("%d %d/%d %.3f→%.3f %s", s.CategoryIndex, s.N, s.M, s.RefShare, s.CurShare, distance))
	}
	if want := "0 20/17 0.667→0.567 none; 2 0/2 0.000→0.067 none; 1 10/11 0.333→0.367 5.000000"; strings.Join(got, "; ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "; "), want)
	}
	if few := shifts[1]; few.EuclideanDistance != nil || few.CosineDistance != nil {
		t.Errorf("a category of %d and %d vacancies has distances", few.N, few.M)
	}
}
