-- What drift counts of labels: one row for each embedding of a labelled vacancy, whenever the label came. It is the others' source; ask drift_values or drift_columns.
-- column: label (the true category); subject: the encoder; hour: in which the vacancy was published, before 2106; value: the category.
CREATE OR REPLACE VIEW drift_label_values AS
SELECT 'label' AS column, e.encoder AS subject, toStartOfHour(e.published_at) AS hour, e.published_at AS published_at, least(e.received_at, l.received_at) AS received_at,
    toString(l.category) AS value, 0. AS number
FROM embeddings AS e
INNER JOIN labels AS l ON l.vacancy_id = e.vacancy_id
WHERE e.published_at < '2106-01-01'
