-- What drift counts of embedded vacancies: one row for each column of each embedding. It is the others' source; ask drift_values or drift_columns.
-- column: source, language, truncated, attribute.<name> (where the vacancy has it), text_length (code points), tokens; subject: the encoder;
-- hour: in which the vacancy was published, before 2106; value: of a column of categories; number: of a column of numbers.
CREATE OR REPLACE VIEW drift_embedding_values AS
SELECT counted.1 AS column, encoder AS subject, toStartOfHour(published_at) AS hour, published_at, received_at, counted.2 AS value, counted.3 AS number
FROM embeddings
ARRAY JOIN arrayConcat(
    [
        ('source', toString(source), 0.),
        ('language', toString(language), 0.),
        ('truncated', toString(truncated), 0.),
        ('text_length', '', toFloat64(text_length)),
        ('tokens', '', toFloat64(tokens))],
    arrayMap((name, value) -> (concat('attribute.', name), value, 0.), mapKeys(attributes), mapValues(attributes))) AS counted
WHERE published_at < '2106-01-01'
