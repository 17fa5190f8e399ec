-- How often a model was right where labels came, whenever they came: SELECT * FROM drift_accuracy(first = '2026-01-01', last = '2026-02-01', model = 'm1')
-- Parameters: first, last: predictions of vacancies published in the whole hours that begin from first on and before last; model, '' for every model.
-- Columns, of labelled vacancies alone: category; labelled, predicted: predictions whose vacancy has the label, or that say the category; correct: both; precision,
-- correct/predicted; recall, correct/labelled; f1, 2·correct/(labelled + predicted); each NULL where it would divide by 0; rows: labelled predictions of the window;
-- accuracy: the share of them that is right, the same in every row; predictions: of the window, with and without a label.
CREATE OR REPLACE VIEW drift_accuracy AS
SELECT category, sum(is_label) AS labelled, sum(is_prediction) AS predicted, sum(is_correct) AS correct,
    if(predicted = 0, NULL, correct / predicted) AS precision, if(labelled = 0, NULL, correct / labelled) AS recall, 2 * correct / (labelled + predicted) AS f1,
    sum(labelled) OVER () AS rows, sum(correct) OVER () / sum(labelled) OVER () AS accuracy,
    (
        SELECT count() FROM predictions WHERE published_at < '2106-01-01' AND toStartOfHour(published_at) >= {first:DateTime64(3, 'UTC')}
            AND toStartOfHour(published_at) < {last:DateTime64(3, 'UTC')} AND {model:String} IN ('', model)
    ) AS predictions
FROM
(
    SELECT toString(l.category) AS label, toString(p.category) AS prediction
    FROM predictions AS p
    INNER JOIN labels AS l ON l.vacancy_id = p.vacancy_id
    WHERE p.published_at < '2106-01-01' AND toStartOfHour(p.published_at) >= {first:DateTime64(3, 'UTC')} AND toStartOfHour(p.published_at) < {last:DateTime64(3, 'UTC')}
        AND {model:String} IN ('', p.model)
)
ARRAY JOIN [label, prediction] AS category, [1, 0] AS is_label, [0, 1] AS is_prediction, [label = prediction, 0] AS is_correct
GROUP BY category
ORDER BY category
