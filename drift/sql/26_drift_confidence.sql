-- How sure a model was of each category in two windows, from the predictions themselves: SELECT * FROM drift_confidence(ref_from = '2022-01-01', ref_to = '2023-01-01',
-- cur_from = '2024-01-01', cur_to = '2025-01-01', model = 'm1')
-- Parameters: the windows as in drift_counts; model, '' for every model. Columns: category, as predicted; reference, current: predictions; reference_mean, current_mean: of
-- their confidence, NULL without any; difference of the means; reference_unsure, current_unsure: share of them with a confidence below 0.5.
CREATE OR REPLACE VIEW drift_confidence AS
WITH
    toStartOfHour(published_at) >= {ref_from:DateTime64(3, 'UTC')} AND toStartOfHour(published_at) < {ref_to:DateTime64(3, 'UTC')} AS before,
    toStartOfHour(published_at) >= {cur_from:DateTime64(3, 'UTC')} AND toStartOfHour(published_at) < {cur_to:DateTime64(3, 'UTC')} AS now
SELECT category, countIf(before) AS reference, countIf(now) AS current,
    avgOrNullIf(toFloat64(confidence), before) AS reference_mean, avgOrNullIf(toFloat64(confidence), now) AS current_mean, current_mean - reference_mean AS difference,
    avgOrNullIf(confidence < 0.5, before) AS reference_unsure, avgOrNullIf(confidence < 0.5, now) AS current_unsure
FROM predictions
WHERE published_at < '2106-01-01' AND isFinite(confidence) AND (before OR now) AND {model:String} IN ('', model)
GROUP BY category
ORDER BY category
