package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// TextHash is the SHA-256 of a text that was embedded, without the encoder's prompt. Zeros: the text is not known.
type TextHash [sha256.Size]byte

// HashText returns a text's hash; of no text, zeros.
func HashText(text string) TextHash {
	if text == "" {
		return TextHash{}
	}
	return sha256.Sum256([]byte(text))
}

// StoredVector is what an encoder made of a text.
type StoredVector struct {
	TextHash  TextHash  `ch:"text_hash"`
	Vector    []float32 `ch:"vector"`
	Tokens    uint32    `ch:"tokens"`
	Truncated bool      `ch:"truncated"`
}

// readVectors looks for one row of each text, by the index on text_hash and columns that are small, and then reads the vectors of these rows alone, by the
// table's key: a text of which there are thousands of rows costs one vector. It looks at the table, because the view embeddings would join all tombstones
// with all rows, and holds the same rule: a row before the tombstone of its partition is erased.
const readVectors = `SELECT text_hash, vector, tokens, truncated
FROM embedding_rows
WHERE encoder = {encoder:String} AND text_hash GLOBAL IN (SELECT toFixedString(unhex(id), 32) FROM ids) AND (raw_topic_id, raw_partition, raw_offset) GLOBAL IN
(
    SELECT any((r.raw_topic_id, r.raw_partition, r.raw_offset))
    FROM embedding_rows AS r
    GLOBAL LEFT JOIN
    (
        SELECT vacancy_id, topic_id, topic_partition, max(topic_offset) AS before
        FROM erasure_rows
        WHERE vacancy_id GLOBAL IN (SELECT vacancy_id FROM embedding_rows WHERE encoder = {encoder:String} AND text_hash GLOBAL IN (SELECT toFixedString(unhex(id), 32) FROM ids))
        GROUP BY vacancy_id, topic_id, topic_partition
    ) AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
    WHERE r.encoder = {encoder:String} AND r.text_hash GLOBAL IN (SELECT toFixedString(unhex(id), 32) FROM ids) AND r.raw_offset >= ifNull(e.before, 0)
    GROUP BY r.text_hash
)
LIMIT 1 BY text_hash`

// ReadVectors returns what the encoder made of these texts before, some hundreds at a time, where a row that is not erased has it. Zeros find nothing.
func (w *Warehouse) ReadVectors(ctx context.Context, encoder string, texts []TextHash) (map[TextHash]StoredVector, error) {
	found := make(map[TextHash]StoredVector, len(texts))
	ctx, err := withTexts(ctx, encoder, texts)
	var rows []StoredVector
	if err == nil {
		err = w.conn.Select(ctx, &rows, readVectors)
	}
	if err != nil {
		return nil, fmt.Errorf("reading vectors of %d texts from ClickHouse: %w", len(texts), diagnose(err, w.options))
	}
	for _, r := range rows {
		found[r.TextHash] = r
	}
	return found, nil
}

// withTexts sends along what readVectors asks for.
func withTexts(ctx context.Context, encoder string, texts []TextHash) (context.Context, error) {
	ids := make([]string, 0, len(texts))
	for _, t := range texts {
		if t != (TextHash{}) {
			ids = append(ids, hex.EncodeToString(t[:]))
		}
	}
	ctx, err := external(ctx, ids)
	return clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"encoder": encoder})), err
}
