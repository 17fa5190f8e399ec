package warehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SimilarQuery asks for the vacancies whose vectors are nearest to one.
type SimilarQuery struct {
	Encoder string
	// Vector is the encoder's, of any length but 0.
	Vector []float32
	// Category bounds the answer to one category's index; -1 takes all.
	Category int
	// Since and Until bound the time of publication, at or after Since and before Until; zero is open.
	Since, Until time.Time
	// Most is how many to return, 1 to 100.
	Most int
}

// Validate reports every violation.
func (q SimilarQuery) Validate() error {
	var wrong []error
	length := 0.
	for _, x := range q.Vector {
		length += float64(x) * float64(x)
	}
	if !(length > 0) || math.IsInf(length, 0) {
		wrong = append(wrong, fmt.Errorf("the vector of %d numbers must be finite and not all zeros", len(q.Vector)))
	}
	if q.Most < 1 || q.Most > 100 {
		wrong = append(wrong, fmt.Errorf("most (%d) must be 1 to 100", q.Most))
	}
	if q.Category < -1 {
		wrong = append(wrong, fmt.Errorf("category (%d) must be an index, or -1 for all", q.Category))
	}
	return errors.Join(wrong...)
}

// SimilarRow is a vacancy near a vector: what was said of it last. Similarity is the cosine, in [-1, 1].
type SimilarRow struct {
	VacancyID     string    `ch:"vacancy_id"`
	Similarity    float64   `ch:"similarity"`
	PublishedAt   time.Time `ch:"published_at"`
	Source        string    `ch:"source"`
	CategoryIndex uint16    `ch:"category_index"`
	Category      string    `ch:"category"`
	Confidence    float32   `ch:"confidence"`
	Occupations   []string  `ch:"occupations"`
	Skills        []string  `ch:"skills"`
	Tasks         []string  `ch:"tasks"`
}

// Bounds of what the index is asked for.
const (
	// similarSpare are candidates beyond those asked for: of them some are old rows of a vacancy, erased, or not classified yet.
	similarSpare = 50
	// similarFiltered are candidates where a filter takes most of them away; the server's limit for its index (max_limit_for_vector_search_queries).
	similarFiltered = 1000
)

// Similar returns the classified vacancies of the flow whose vectors are nearest, the nearest first, each once, as it was published last. The index of the encoder's table gives candidates, whose
// distances are then computed from their newest vectors; where they are too few, because a filter took them away or there is no index, all vectors are looked at. So it never
// returns fewer than there are, and what it says of each is exact; which ones the index finds is approximate (HNSW).
func (w *Warehouse) Similar(ctx context.Context, q SimilarQuery) ([]SimilarRow, error) {
	if err := q.Validate(); err != nil {
		return nil, fmt.Errorf("searching similar vacancies: %w", err)
	}
	found, err := w.similar(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("searching similar vacancies: %w", diagnose(Explain(err), w.options))
	}
	return found, nil
}

func (w *Warehouse) similar(ctx context.Context, q SimilarQuery) ([]SimilarRow, error) {
	table := similarTable(q.Encoder, len(q.Vector))
	filled, err := w.similarIsFilled(ctx, table)
	if err != nil {
		return nil, err
	}
	if !filled {
		return w.similarExactly(ctx, q, "")
	}
	n := q.Most*2 + similarSpare
	if q.filters() {
		n = similarFiltered
	}
	ids, err := w.ids(ctx, fmt.Sprintf("SELECT vacancy_id AS id FROM %s ORDER BY cosineDistance(vector, %s) LIMIT %d", table, q.literal(), n))
	if err != nil {
		return nil, err
	}
	found, err := w.resolveSimilar(ctx, q, table, ids)
	if err != nil || len(found) == q.Most {
		return found, err
	}
	return w.similarExactly(ctx, q, table)
}

// similarExactly looks at every vector, of the encoder's table or, where there is none, of embedding_rows.
func (w *Warehouse) similarExactly(ctx context.Context, q SimilarQuery, table string) ([]SimilarRow, error) {
	category := ""
	if q.Category >= 0 {
		category = fmt.Sprintf(" HAVING argMax(category_index, classified_at) = %d", q.Category)
	}
	ids, err := w.ids(ctx, fmt.Sprintf(`SELECT vacancy_id AS id FROM (%s)
		WHERE isFinite(distance) AND %s AND (topic, partition, offset) GLOBAL IN
		(
			SELECT raw_topic_id, raw_partition, raw_offset FROM prediction_rows WHERE %s
			GROUP BY raw_topic_id, raw_partition, raw_offset%s
		)
		ORDER BY distance, vacancy_id LIMIT %d`, q.newest(table, "1"), q.published("published_at"), q.published("prediction_rows.published_at"), category, q.Most))
	if err != nil {
		return nil, err
	}
	return w.resolveSimilar(ctx, q, table, ids)
}

// resolveSimilar computes the distances of vacancies and says what was said of them.
func (w *Warehouse) resolveSimilar(ctx context.Context, q SimilarQuery, table string, ids []string) ([]SimilarRow, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ctx, err := external(ctx, ids)
	if err != nil {
		return nil, err
	}
	category := "1"
	if q.Category >= 0 {
		category = fmt.Sprintf("p.said.1 = %d", q.Category)
	}
	var found []SimilarRow
	err = w.conn.Select(ctx, &found, fmt.Sprintf(`SELECT n.vacancy_id AS vacancy_id, toFloat64(1 - n.distance) AS similarity, n.published_at AS published_at, n.source AS source,
			p.said.1 AS category_index, toString(p.said.2) AS category, p.said.3 AS confidence, p.said.4 AS occupations, p.said.5 AS skills, p.said.6 AS tasks
		FROM (%s) AS n
		INNER JOIN
		(
			SELECT raw_topic_id, raw_partition, raw_offset, argMax((category_index, category, confidence, occupations, skills, tasks), classified_at) AS said
			FROM prediction_rows WHERE vacancy_id GLOBAL IN (SELECT id FROM ids)
			GROUP BY raw_topic_id, raw_partition, raw_offset
		) AS p ON p.raw_topic_id = n.topic AND p.raw_partition = n.partition AND p.raw_offset = n.offset
		WHERE isFinite(n.distance) AND %s AND %s
		ORDER BY n.distance, vacancy_id LIMIT %d`, q.newest(table, "vacancy_id GLOBAL IN (SELECT id FROM ids)"), q.published("n.published_at"), category, q.Most))
	slices.SortStableFunc(found, func(a, b SimilarRow) int { return cmp.Compare(b.Similarity, a.Similarity) })
	return found, err
}

// newest selects the chosen vacancies, each by its newest row that is not erased: vacancy_id, distance, published_at, source, topic, partition, offset. The distances are computed before rows
// are grouped, so that no vector is held in memory.
func (q SimilarQuery) newest(table, chosen string) string {
	if table == "" {
		table, chosen = "embedding_rows", chosen+fmt.Sprintf(" AND encoder = %s AND length(vector) = %d AND %s", quoted(q.Encoder), len(q.Vector), streamRows)
	}
	return fmt.Sprintf(`SELECT vacancy_id, row.3 AS distance, row.4 AS published_at, row.5 AS source, row.2.1 AS topic, row.2.2 AS partition, row.2.3 AS offset
		FROM
		(
			SELECT vacancy_id, max((received_at, (raw_topic_id, raw_partition, raw_offset), cosineDistance(vector, CAST(%[1]s AS Array(Float32))), published_at, toString(source))) AS row
			FROM %[2]s
			WHERE %[3]s AND (raw_topic_id, raw_partition, raw_offset) GLOBAL NOT IN
			(
				SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
				FROM %[2]s AS r
				GLOBAL INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
				WHERE r.vacancy_id GLOBAL IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < e.topic_offset
			)
			GROUP BY vacancy_id
		)`, q.literal(), table, chosen)
}

// literal is the vector in SQL.
func (q SimilarQuery) literal() string {
	numbers := make([]string, len(q.Vector))
	for i, x := range q.Vector {
		numbers[i] = strconv.FormatFloat(float64(x), 'e', -1, 32) // with an exponent it is no integer
	}
	return "[" + strings.Join(numbers, ",") + "]"
}

func (q SimilarQuery) filters() bool {
	return q.Category >= 0 || !q.Since.IsZero() || !q.Until.IsZero()
}

// published is the condition on the time of publication. Times are sent as integers, because the client binds them in whole seconds.
func (q SimilarQuery) published(column string) string {
	condition := "1"
	if !q.Since.IsZero() {
		condition += fmt.Sprintf(" AND %s >= fromUnixTimestamp64Milli(toInt64(%d), 'UTC')", column, within(q.Since).UnixMilli())
	}
	if !q.Until.IsZero() {
		condition += fmt.Sprintf(" AND %s < fromUnixTimestamp64Milli(toInt64(%d), 'UTC')", column, within(q.Until).UnixMilli())
	}
	return condition
}

// ids reads a column of them.
func (w *Warehouse) ids(ctx context.Context, query string) ([]string, error) {
	var rows []struct {
		ID string `ch:"id"`
	}
	if err := w.conn.Select(ctx, &rows, query); err != nil {
		return nil, err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids, nil
}
