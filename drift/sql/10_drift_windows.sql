-- What the two windows hold: SELECT * FROM drift_windows(ref_from = '2022-01-01', ref_to = '2023-01-01', cur_from = '2024-01-01', cur_to = '2025-01-01', encoder = '')
-- A window holds the vacancies published at its first moment or later, and before its last. An empty encoder means every encoder.
CREATE OR REPLACE VIEW drift_windows AS
SELECT window, count() AS rows, uniqExact(vacancy_id) AS vacancies, uniqExact(employer_hash) AS employers, min(published_at) AS first, max(published_at) AS last,
    groupUniqArray(encoder) AS encoders
FROM embeddings
ARRAY JOIN arrayConcat(
    if(published_at >= {ref_from:DateTime64(3, 'UTC')} AND published_at < {ref_to:DateTime64(3, 'UTC')}, ['reference'], []),
    if(published_at >= {cur_from:DateTime64(3, 'UTC')} AND published_at < {cur_to:DateTime64(3, 'UTC')}, ['current'], [])) AS window
WHERE ({encoder:String} = '' OR encoder = {encoder:String})
GROUP BY window
ORDER BY window DESC
