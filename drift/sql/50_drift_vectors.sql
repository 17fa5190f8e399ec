-- The vectors of both windows, which the views of embeddings below are made of:
-- SELECT current, count() FROM drift_vectors(ref_from = '2022-01-01', ref_to = '2023-01-01', cur_from = '2024-01-01', cur_to = '2025-01-01', encoder = '') GROUP BY current
-- Parameters, here and below: a window holds what was published at its first moment or later, and before its last; an empty encoder means every encoder.
-- Columns: those of embeddings; current: the row lies in the current window, else in the reference.
CREATE OR REPLACE VIEW drift_vectors AS
SELECT *, published_at >= {cur_from:DateTime64(3, 'UTC')} AND published_at < {cur_to:DateTime64(3, 'UTC')} AS current
FROM embeddings
WHERE ({encoder:String} = '' OR encoder = {encoder:String})
    AND (published_at >= {ref_from:DateTime64(3, 'UTC')} AND published_at < {ref_to:DateTime64(3, 'UTC')}
        OR published_at >= {cur_from:DateTime64(3, 'UTC')} AND published_at < {cur_to:DateTime64(3, 'UTC')})
