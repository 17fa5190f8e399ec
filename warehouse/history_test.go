package warehouse

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func readHistory(t *testing.T, w *Warehouse, filter HistoryFilter) (rows []HistoryRow) {
	t.Helper()
	if err := w.ReadHistory(context.Background(), filter, func(row HistoryRow) error { rows = append(rows, row); return nil }); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestHistory(t *testing.T) {
	w := openMigrated(t)
	other := embedding(5, "c", "e5")
	other.Source = "kommune"
	embeddings := []EmbeddingRow{
		embedding(1, "a", "e5"), embedding(1, "a", "bge"),
		embedding(4, "a", "e5"), // published again: the newer one counts
		embedding(2, "b", "e5"),
		embedding(3, "unlabelled", "e5"),
		other,
	}
	labels := []LabelRow{label(1, "a", 1, noon), label(2, "a", 2, noon.Add(time.Second)), label(3, "b", 3, noon), label(4, "c", 4, noon), label(5, "no embedding", 5, noon)}
	for range 2 { // a replay makes no difference
		if err := errors.Join(w.InsertEmbeddings(t.Context(), embeddings), w.InsertLabels(t.Context(), labels)); err != nil {
			t.Fatal(err)
		}
	}
	row := func(e EmbeddingRow, l LabelRow) HistoryRow {
		return HistoryRow{
			VacancyID: e.VacancyID, Encoder: e.Encoder, Vector: e.Vector, CategoryIndex: l.CategoryIndex, Source: e.Source,
			EmployerHash: fmt.Sprintf("%x", e.EmployerHash), ReceivedAt: e.ReceivedAt, LabelledAt: l.LabelledAt,
		}
	}
	aBGE, aE5 := row(embeddings[1], labels[1]), row(embeddings[2], labels[1])
	b, c := row(embeddings[3], labels[2]), row(other, labels[3])
	f := func(filter HistoryFilter, want ...HistoryRow) {
		t.Helper()
		if diff := cmp.Diff(want, readHistory(t, w, filter)); diff != "" {
			t.Errorf("%+v:\n%s", filter, diff)
		}
		n, err := w.CountHistory(t.Context(), filter)
		if err != nil || n != uint64(len(want)) {
			t.Errorf("%+v: counted %d, %v, want %d", filter, n, err, len(want))
		}
	}
	f(HistoryFilter{}, aBGE, aE5, b, c)
	f(HistoryFilter{Encoder: "e5"}, aE5, b, c)
	f(HistoryFilter{Encoder: "none"})
	f(HistoryFilter{Source: "kommune"}, c)
	f(HistoryFilter{Source: "it's"})
	f(HistoryFilter{Since: b.ReceivedAt}, aE5, b, c)
	f(HistoryFilter{Since: b.ReceivedAt.Add(time.Millisecond)}, aE5, c)
	f(HistoryFilter{Until: b.ReceivedAt}, aBGE)
	f(HistoryFilter{Encoder: "e5", Since: b.ReceivedAt, Until: c.ReceivedAt, Source: "jobnet"}, aE5, b)

	stop := errors.New("enough")
	seen := 0
	err := w.ReadHistory(t.Context(), HistoryFilter{}, func(HistoryRow) error { seen++; return stop })
	if !errors.Is(err, stop) || seen != 1 {
		t.Errorf("stopping at the first row: got %v after %d rows", err, seen)
	}
}

// BenchmarkHistory inserts 50,000 embeddings of 384 values with their labels in blocks of 10,000, and reads them as
// history.
func BenchmarkHistory(b *testing.B) {
	w := openMigrated(b)
	const n, block = 50_000, 10_000
	ctx := context.Background()
	for b.Loop() {
		start := time.Now()
		for from := range n / block {
			embeddings, labels := make([]EmbeddingRow, block), make([]LabelRow, block)
			for i := range block {
				id := int64(from*block + i)
				e := embedding(id, fmt.Sprintf("vacancy-%d", id), "e5")
				e.ReceivedAt = noon.Add(time.Duration(id) * time.Second)
				e.Vector = make([]float32, 384)
				for k := range e.Vector {
					e.Vector[k] = float32((id*31+int64(k)*17)%1009) / 1009
				}
				embeddings[i], labels[i] = e, label(id, e.VacancyID, uint16(id%22), noon)
				labels[i].ReceivedAt = e.ReceivedAt
			}
			if err := errors.Join(w.InsertEmbeddings(ctx, embeddings), w.InsertLabels(ctx, labels)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(n/time.Since(start).Seconds(), "inserted/s")
		start = time.Now()
		read := 0
		if err := w.ReadHistory(ctx, HistoryFilter{Encoder: "e5"}, func(HistoryRow) error { read++; return nil }); err != nil {
			b.Fatal(err)
		}
		if read != n {
			b.Fatalf("read %d rows, want %d", read, n)
		}
		b.ReportMetric(n/time.Since(start).Seconds(), "read/s")
	}
}
