-- Vacancies of the current window that show what changed: those farthest along the direction in which the mean moved, and those farthest against it.
-- SELECT * FROM drift_nearest(ref_from = '2022-01-01', ref_to = '2023-01-01', cur_from = '2024-01-01', cur_to = '2025-01-01', encoder = '', examples = 5)
-- Parameter: examples: how many of each.
-- Columns: side: 'new' (along) or 'old' (against); position: 1 is the farthest; vacancy_id, published_at; projection: (vector - ref_mean) · shift / |shift|, with
--   shift = cur_mean - ref_mean. No rows where the windows cannot be compared (drift_embedding_windows says why), where the vectors are of unequal width
--   or not finite (drift_embeddings says so), or where the mean did not move.
CREATE OR REPLACE VIEW drift_nearest AS
WITH
    (
        SELECT note
        FROM drift_embedding_windows(
            ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
            encoder = {encoder:String})
    ) AS windows_note,
    (
        SELECT if(empty(windows_note) AND min(length(vector)) = max(length(vector)) AND min(isFinite(arraySum(vector))),
            (avgForEachIf(vector, NOT current), avgForEachIf(vector, current)), (emptyArrayFloat64(), emptyArrayFloat64()))
        FROM drift_vectors(
            ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
            encoder = {encoder:String})
        SETTINGS max_block_size = 8192
    ) AS means,
    arrayMap((r, c) -> c - r, means.1, means.2) AS shift
SELECT side, position, vacancy_id, published_at, projection
FROM
(
    SELECT *, row_number() OVER (ORDER BY projection DESC, vacancy_id) AS from_new, row_number() OVER (ORDER BY projection, vacancy_id) AS from_old,
        if(from_new <= {examples:UInt32}, 'new', 'old') AS side, least(from_new, from_old) AS position
    FROM
    (
        SELECT vacancy_id, any(published_at) AS published_at, max(along) AS projection
        FROM
        (
            SELECT vacancy_id, published_at, (dotProduct(arrayMap(v -> toFloat64(v), vector), shift) - dotProduct(means.1, shift)) / L2Norm(shift) AS along
            FROM drift_vectors(
                ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
                encoder = {encoder:String})
            WHERE current AND L2Norm(shift) > 0
            SETTINGS max_block_size = 8192
        )
        GROUP BY vacancy_id
    )
)
WHERE from_new <= {examples:UInt32} OR from_old <= {examples:UInt32}
ORDER BY side, position
