package warehouse

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
)

// textOf is a row of a vacancy with this text, known by this offset.
func textOf(offset int64, vacancy, encoder, text string) EmbeddingRow {
	row := embedding(offset, vacancy, encoder)
	row.TextHash = HashText(text)
	return row
}

// A text is found where a row of it is not erased, of the encoder that is asked for alone, and is answered once however many rows there are.
func TestReadVectors(t *testing.T) {
	w := openMigrated(t)
	// f asks for texts; want holds offsets, which the vectors begin with, one of those that a text names.
	f := func(encoder string, texts []string, want map[string][]float32) {
		t.Helper()
		var hashes []TextHash
		for _, text := range texts {
			hashes = append(hashes, HashText(text))
		}
		found, err := w.ReadVectors(t.Context(), encoder, hashes)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != len(want) {
			t.Errorf("%q: found %d, want %d", texts, len(found), len(want))
		}
		for text, offsets := range want {
			got := found[HashText(text)]
			ok := false
			for _, offset := range offsets {
				row := textOf(int64(offset), "", encoder, text)
				ok = ok || cmp.Equal(got, StoredVector{row.TextHash, row.Vector, row.Tokens, row.Truncated})
			}
			if !ok {
				t.Errorf("%q: got %v, want the row of %v", text, got, offsets)
			}
		}
	}
	insert := func(rows ...EmbeddingRow) {
		t.Helper()
		if err := w.InsertEmbeddings(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	insert(
		textOf(1, "a", "e5", "one"), textOf(2, "b", "e5", "two"), textOf(3, "a", "e5", "two"),
		textOf(4, "c", "bge", "three"), textOf(5, "gone", "e5", "four"), textOf(6, "gone", "e5", "five"), textOf(7, "d", "e5", "five"), textOf(8, "d", "e5", ""),
	)
	insert(textOf(1, "a", "e5", "one"))       // a replay
	insert(textOf(1, "a", "e5", "one, anew")) // a replay with another extraction of the same record
	all := []string{"one", "one, anew", "two", "three", "four", "five", "six", "", "two"}
	f("e5", all, map[string][]float32{"one": {1}, "one, anew": {1}, "two": {2, 3}, "four": {5}, "five": {6, 7}})
	f("bge", all, map[string][]float32{"three": {4}})
	f("", all, nil)
	f("e5", nil, nil)
	f("e5", []string{""}, nil)
	// The tombstone alone hides the rows, before any is deleted.
	batch, err := w.Conn().PrepareBatch(t.Context(), "INSERT INTO erasure_rows")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append(tombstones("gone", 10), tombstones("b", 2)...) {
		if err := batch.AppendStruct(&e); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	f("e5", all, map[string][]float32{"one": {1}, "one, anew": {1}, "two": {2, 3}, "five": {7}})
	if err := w.Erase(t.Context(), append(tombstones("gone", 10), tombstones("a", 100)...)); err != nil {
		t.Fatal(err)
	}
	f("e5", all, map[string][]float32{"two": {2}, "five": {7}})
	insert(textOf(9, "gone", "e5", "four")) // late, from a slower sink
	f("e5", all, map[string][]float32{"two": {2}, "five": {7}})
	insert(textOf(12, "gone", "e5", "four")) // published anew
	f("e5", all, map[string][]float32{"two": {2}, "five": {7}, "four": {12}})
}

// Neither the search for rows nor the reading of vectors goes through the table: of 200,000 rows a few granules of 8,192 are read.
func TestReadVectorsReadsLittle(t *testing.T) {
	w := openMigrated(t)
	const rows = 200_000
	err := w.Conn().Exec(t.Context(), `INSERT INTO embedding_rows (raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, encoder, vector, tokens, text_hash)
		SELECT ?, 0, number, now64(3), concat('v-', toString(number)), 'e5', [number], 5, SHA256(concat('text ', toString(number))) FROM numbers(?)`, topicID, rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range tombstones("v-123456", 1) {
		if err := w.Erase(t.Context(), []Erasure{e}); err != nil {
			t.Fatal(err)
		}
	}
	read := uint64(0)
	ctx := clickhouse.Context(t.Context(), clickhouse.WithProgress(func(p *clickhouse.Progress) { read += p.Rows }))
	found, err := w.ReadVectors(ctx, "e5", []TextHash{HashText("text 123456"), HashText("no text")})
	if err != nil || len(found) != 1 || !cmp.Equal(found[HashText("text 123456")].Vector, []float32{123456}) {
		t.Fatalf("got %v, %v", found, err)
	}
	if read == 0 || read > 5*8192 {
		t.Errorf("%d rows of %d were read", read, rows)
	}
	t.Logf("%d rows of %d were read", read, rows)
	if ctx, err = withTexts(t.Context(), "e5", []TextHash{HashText("text 123456")}); err != nil {
		t.Fatal(err)
	}
	var lines []struct {
		Line string `ch:"explain"`
	}
	if err := w.Conn().Select(ctx, &lines, "EXPLAIN indexes = 1 "+readVectors); err != nil {
		t.Fatal(err)
	}
	plan := ""
	for _, l := range lines {
		plan += l.Line + "\n"
	}
	for _, part := range []string{"Name: by_text", "PrimaryKey"} {
		if !strings.Contains(plan, part) {
			t.Errorf("the plan lacks %q:\n%s", part, plan)
		}
	}
}

// A lazy connection begins without a server; what asks it says what is wrong.
func TestOpenLazily(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	w := open(t, Options{Addr: []string{closed.Addr().String()}, Lazy: true})
	if _, err := w.ReadVectors(t.Context(), "e5", []TextHash{HashText("a")}); err == nil || !strings.Contains(err.Error(), "nothing listens there") {
		t.Errorf("got %v", err)
	}
	old := open(t, testOptions(t)) // without a schema
	if _, err := old.ReadVectors(t.Context(), "e5", []TextHash{HashText("a")}); err == nil || !strings.Contains(err.Error(), "embedding_rows") {
		t.Errorf("got %v", err)
	}
	if _, err := Open(context.Background(), Options{Addr: []string{"127.0.0.1:1"}, Lazy: true, CreateDatabase: true}); err == nil || !strings.Contains(err.Error(), "CreateDatabase") {
		t.Errorf("got %v", err)
	}
}
