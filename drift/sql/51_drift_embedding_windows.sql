-- Whether the vectors of two windows can be compared: one row. It reads no vectors.
-- SELECT * FROM drift_embedding_windows(ref_from = '2022-01-01', ref_to = '2023-01-01', cur_from = '2024-01-01', cur_to = '2025-01-01', encoder = '')
-- Columns: n, m: rows of the reference and of the current window; encoders: those of their vectors;
--   note: why the windows cannot be compared, or empty.
CREATE OR REPLACE VIEW drift_embedding_windows AS
SELECT countIf(NOT current) AS n, countIf(current) AS m, arraySort(groupUniqArray(encoder)) AS encoders,
    multiIf(
        {ref_from:DateTime64(3, 'UTC')} >= {ref_to:DateTime64(3, 'UTC')}, 'the reference window ends before it begins',
        {cur_from:DateTime64(3, 'UTC')} >= {cur_to:DateTime64(3, 'UTC')}, 'the current window ends before it begins',
        {ref_from:DateTime64(3, 'UTC')} < {cur_to:DateTime64(3, 'UTC')} AND {cur_from:DateTime64(3, 'UTC')} < {ref_to:DateTime64(3, 'UTC')}, 'the windows overlap',
        length(encoders) > 1, concat('the windows hold vectors of several encoders, choose one: ', arrayStringConcat(encoders, ', ')),
        n + m = 0 AND {encoder:String} != '', concat('the windows hold no vectors of the encoder ', {encoder:String}),
        n = 0, 'the reference window is empty',
        m = 0, 'the current window is empty',
        n < 10, concat('the reference window holds ', toString(n), ' rows, at least 10 are needed'),
        m < 10, concat('the current window holds ', toString(m), ' rows, at least 10 are needed'),
        '') AS note
FROM drift_vectors(
    ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
    encoder = {encoder:String})
