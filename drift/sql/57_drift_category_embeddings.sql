-- How the vacancies of each category moved: a row a category, by the category that the model predicted.
-- SELECT * FROM drift_category_embeddings(ref_from = '2022-01-01', ref_to = '2023-01-01', cur_from = '2024-01-01', cur_to = '2025-01-01', encoder = '', model = '…') ORDER BY abs(share_change) DESC
-- Parameter: model: identity of the classifier.
-- Columns: category_index, category; n, m: rows of the reference and of the current window with a prediction; ref_share, cur_share, share_change: of all such rows of
--   the window; euclidean, cosine: distance of the category's two means, NULL where a window has fewer than 10 of it. No rows where the windows cannot be compared.
CREATE OR REPLACE VIEW drift_category_embeddings AS
WITH
    (
        SELECT note
        FROM drift_embedding_windows(
            ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
            encoder = {encoder:String})
    ) AS windows_note
SELECT category_index, category, n, m, n / sum(n) OVER () AS ref_share, m / sum(m) OVER () AS cur_share, cur_share - ref_share AS share_change,
    if(few, NULL, L2Norm(arrayMap((r, c) -> c - r, ref_mean, cur_mean))) AS euclidean,
    if(few OR L2Norm(ref_mean) = 0 OR L2Norm(cur_mean) = 0, NULL, cosineDistance(ref_mean, cur_mean)) AS cosine
FROM
(
    SELECT category_index, any(p.category) AS category, countIf(NOT current) AS n, countIf(current) AS m,
        n < 10 OR m < 10 OR min(length(vector)) < max(length(vector)) OR NOT min(isFinite(arraySum(vector))) AS few,
        if(few, [0.], avgForEachIf(vector, NOT current)) AS ref_mean, if(few, [0.], avgForEachIf(vector, current)) AS cur_mean
    FROM drift_vectors(
        ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
        encoder = {encoder:String}) AS v
    INNER JOIN
    (
        SELECT raw_topic_id, raw_partition, raw_offset, encoder, category_index, category
        FROM predictions
        WHERE model = {model:String}
    ) AS p ON p.raw_topic_id = v.raw_topic_id AND p.raw_partition = v.raw_partition AND p.raw_offset = v.raw_offset AND p.encoder = v.encoder
    WHERE empty(windows_note)
    GROUP BY category_index
    SETTINGS max_block_size = 8192, query_plan_join_swap_table = 'false'
)
