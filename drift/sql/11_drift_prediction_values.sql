-- What drift counts of predictions: one row for each column of each prediction. It is the others' source; ask drift_values or drift_columns.
-- column: category, confidence (rounded to 0.0005, so that an hour has at most 2,001 of them), occupations, skills and tasks (how many were extracted);
-- subject: the model; hour: in which the vacancy was published, before 2106; value: of a column of categories; number: of a column of numbers.
CREATE OR REPLACE VIEW drift_prediction_values AS
SELECT counted.1 AS column, model AS subject, toStartOfHour(published_at) AS hour, published_at, received_at, counted.2 AS value, counted.3 AS number
FROM predictions
ARRAY JOIN [
    ('category', toString(category), 0.),
    ('confidence', '', round(toFloat64(confidence) * 2000) / 2000),
    ('occupations', '', toFloat64(length(occupations))),
    ('skills', '', toFloat64(length(skills))),
    ('tasks', '', toFloat64(length(tasks)))] AS counted
WHERE published_at < '2106-01-01'
