-- All counts of one column in one hour: SELECT * FROM drift_hours WHERE column = 'category' AND hour >= '2026-01-01'
-- column: category, confidence, occupations, skills, tasks (of predictions; subject is the model); source, language, truncated, attribute.<name>, text_length, tokens,
-- label (subject is the encoder); hour: in which vacancies were published; rows: that have the column; values, numbers: what was counted, and defaults in the
-- other of them; counts: how many rows have each. Hours whose states hold come from these; the others straight from the rows, so that an answer is never old.
CREATE OR REPLACE VIEW drift_hours AS
SELECT s.column AS column, s.subject AS subject, s.hour AS hour, s.rows AS rows, s.values AS values, s.numbers AS numbers, s.counts AS counts
FROM drift_hour_rows AS s FINAL
INNER JOIN
(
    SELECT dataset, hour, max(touched_hour_rows.computed_at) AS computed_at
    FROM touched_hour_rows
    GROUP BY dataset, hour
    HAVING computed_at > max(touched_hour_rows.touched_at)
) AS h ON h.dataset = s.dataset AND h.hour = s.hour
WHERE s.computed_at >= h.computed_at
SETTINGS distributed_product_mode = 'local'
UNION ALL
SELECT column, subject, hour, sum(n) AS rows, (arraySort(groupArray((value, number, n))) AS sorted).1 AS values, sorted.2 AS numbers, sorted.3 AS counts
FROM
(
    WITH (SELECT (count(), min(hour), max(hour) + toIntervalHour(1)) FROM drift_touched_hours WHERE dataset = 'predictions') AS touched
    SELECT column, subject, hour, value, number, count() AS n
    FROM drift_prediction_values
    WHERE touched.1 > 0 AND published_at >= touched.2 AND published_at < touched.3 AND hour IN (SELECT hour FROM drift_touched_hours WHERE dataset = 'predictions')
    GROUP BY column, subject, hour, value, number
)
GROUP BY column, subject, hour
UNION ALL
SELECT column, subject, hour, sum(n) AS rows, (arraySort(groupArray((value, number, n))) AS sorted).1 AS values, sorted.2 AS numbers, sorted.3 AS counts
FROM
(
    WITH (SELECT (count(), min(hour), max(hour) + toIntervalHour(1)) FROM drift_touched_hours WHERE dataset = 'embeddings') AS touched
    SELECT column, subject, hour, value, number, count() AS n
    FROM drift_embedding_values
    WHERE touched.1 > 0 AND published_at >= touched.2 AND published_at < touched.3 AND hour IN (SELECT hour FROM drift_touched_hours WHERE dataset = 'embeddings')
    GROUP BY column, subject, hour, value, number
)
GROUP BY column, subject, hour
UNION ALL
SELECT column, subject, hour, sum(n) AS rows, (arraySort(groupArray((value, number, n))) AS sorted).1 AS values, sorted.2 AS numbers, sorted.3 AS counts
FROM
(
    WITH (SELECT (count(), min(hour), max(hour) + toIntervalHour(1)) FROM drift_touched_hours WHERE dataset = 'labels') AS touched
    SELECT column, subject, hour, value, number, count() AS n
    FROM drift_label_values
    WHERE touched.1 > 0 AND published_at >= touched.2 AND published_at < touched.3 AND hour IN (SELECT hour FROM drift_touched_hours WHERE dataset = 'labels')
    GROUP BY column, subject, hour, value, number
)
GROUP BY column, subject, hour
