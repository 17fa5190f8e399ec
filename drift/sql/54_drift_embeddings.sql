-- How far the mean of the vectors moved: one row.
-- SELECT * FROM drift_embeddings(ref_from = '2022-01-01', ref_to = '2023-01-01', cur_from = '2024-01-01', cur_to = '2025-01-01', encoder = '')
-- Columns: n, m: rows of the reference and of the current window; width: components of a vector; ref_norm, cur_norm: length of each mean;
--   euclidean, cosine (1 - the angle's cosine; NULL where a mean is zero), cityblock, chebyshev: distances of the means, as SciPy's spatial.distance has them and
--   Evidently's method "distance"; note: why there is nothing to say, then all else but n and m is NULL.
CREATE OR REPLACE VIEW drift_embeddings AS
WITH
    (
        SELECT note
        FROM drift_embedding_windows(
            ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
            encoder = {encoder:String})
    ) AS windows_note
SELECT n, m, if(bad, NULL, widest) AS width, if(bad, NULL, L2Norm(ref_mean)) AS ref_norm, if(bad, NULL, L2Norm(cur_mean)) AS cur_norm,
    if(bad, NULL, L2Norm(shift)) AS euclidean, if(bad OR L2Norm(ref_mean) = 0 OR L2Norm(cur_mean) = 0, NULL, cosineDistance(ref_mean, cur_mean)) AS cosine,
    if(bad, NULL, L1Norm(shift)) AS cityblock, if(bad, NULL, LinfNorm(shift)) AS chebyshev, note
FROM
(
    SELECT countIf(NOT current) AS n, countIf(current) AS m, min(length(vector)) AS narrowest, max(length(vector)) AS widest,
        min(isFinite(arraySum(vector))) AS finite, multiIf(
            notEmpty(windows_note), windows_note,
            narrowest < widest, concat('the windows hold vectors of unequal width, ', toString(narrowest), ' to ', toString(widest)),
            NOT finite, 'the windows hold vectors that are not finite',
            '') AS note,
        notEmpty(note) AS bad, avgForEachIf(vector, NOT current AND empty(windows_note)) AS ref_sums, avgForEachIf(vector, current AND empty(windows_note)) AS cur_sums,
        if(bad, [0.], ref_sums) AS ref_mean, if(bad, [0.], cur_sums) AS cur_mean, arrayMap((r, c) -> c - r, ref_mean, cur_mean) AS shift
    FROM drift_vectors(
        ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
        encoder = {encoder:String})
    SETTINGS max_block_size = 8192
)
