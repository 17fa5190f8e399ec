-- Hours whose states do not hold, because rows came, were labelled or erased after they were computed: SELECT * FROM drift_touched_hours
-- dataset: embeddings, predictions or labels.
CREATE OR REPLACE VIEW drift_touched_hours AS
SELECT dataset, hour, max(touched_hour_rows.touched_at) AS touched_at
FROM touched_hour_rows
GROUP BY dataset, hour
HAVING max(touched_hour_rows.computed_at) <= touched_at
