-- Each component of the vectors, compared: SELECT * FROM drift_components(ref_from = '2022-01-01', ref_to = '2023-01-01', cur_from = '2024-01-01',
--     cur_to = '2025-01-01', encoder = '', component_from = 1, component_to = 1024) ORDER BY wasserstein DESC
-- Parameters: the components wanted, from 1, both included. A query takes up to 15 bytes of memory for each row × component: where windows hold 100,000 rows
-- each, ask for 250 components at a time.
-- Columns, for each component: n, m: rows; ref_mean, cur_mean; ref_std, cur_std: of the sample, its squares divided by n - 1;
--   wasserstein: ∫|F - G| / max(σ, 0.001) with both empirical distributions F, G and σ of the reference with squares divided by n, as Evidently's test
--     "wasserstein" has it; ks: max|F - G|; ks_p: of Kolmogorov's limit distribution at ks · √(nm / (n + m)) (SciPy: kstwobign.sf), by the series that converges;
--   z: (cur_mean - ref_mean) / √(ref_std² / n + cur_std² / m), NULL if both are constant; z_p: of the normal distribution, both tails; if both are constant 1
--     where they are equal, else 0;
--   ks_q, z_q: the smallest false discovery rate at which the component counts as drifted (Benjamini and Hochberg 1995), over the components of this query;
--   note: why there is nothing to say. Then there is one row, and all else is NULL.
-- Arrays of arrays are joined twice, as a join makes blocks of no less than what one row holds, and small blocks take far less memory and time.
-- Adding blank, 0 or NULL, is for speed too: what if() chooses from is computed lazily, again for each column that needs it.
-- Figures are gathered before they are ranked, or the sort would come first and carry all arrays.
-- It looks at the rows by itself, not through drift_vectors and drift_embedding_windows, because views of views are planned many times.
-- A value and its window are sorted as one Float64, whose last bit says which window: values are Float32, whose distances are beyond 1e-12 of them, so the bit
-- changes neither order nor ties. The difference of F and G, times nm, is the running sum of +m and -n in that order, in whole numbers.
CREATE OR REPLACE VIEW drift_components AS
WITH
    (value, bit) -> reinterpretAsFloat64(bitOr(bitAnd(reinterpretAsUInt64(value + toFloat64(0)), bitNot(toUInt64(1))), toUInt64(bit))) AS mark,
    (l) -> multiIf(
        l < 0.1, 1.,
        l < 1.18, 1 - sqrt(2 * pi()) / l * arraySum(k -> exp(-pow((2 * k - 1) * pi() / l, 2) / 8), [1, 2, 3, 4]),
        2 * arraySum(k -> if(k % 2 = 1, 1, -1) * exp(-2 * pow(k * l, 2)), [1, 2, 3, 4, 5])) AS kolmogorov
SELECT component, n, m, ref_mean, cur_mean, ref_std, cur_std, wasserstein, ks, ks_p,
    min(ks_p * components / ks_rank) OVER (ORDER BY ks_rank DESC) AS ks_q,
    z, z_p, min(z_p * components / z_rank) OVER (ORDER BY z_rank DESC) AS z_q, note
FROM
(
    SELECT figures.1 AS component, figures.2 AS n, figures.3 AS m, figures.4 AS ref_mean, figures.5 AS cur_mean, figures.6 AS ref_std, figures.7 AS cur_std,
        figures.8 AS wasserstein, figures.9 AS ks, figures.10 AS ks_p, figures.11 AS z, figures.12 AS z_p, figures.13 AS note,
        count() OVER () AS components, row_number() OVER (ORDER BY ks_p) AS ks_rank, row_number() OVER (ORDER BY z_p) AS z_rank
    FROM
    (
        SELECT arrayJoin(groupArray((component, n, m, ref_mean, cur_mean, ref_std, cur_std, wasserstein, ks, ks_p, z, z_p, note))) AS figures
        FROM
        (
            SELECT position + blank AS component, rows_ref + blank AS n, rows_cur + blank AS m, x_mean + blank AS ref_mean, y_mean + blank AS cur_mean,
                sqrt(x_squares / (rows_ref - 1)) + blank AS ref_std, sqrt(y_squares / (rows_cur - 1)) + blank AS cur_std,
                area / rows_ref / rows_cur / greatest(sqrt(x_squares / rows_ref), 0.001) + blank AS wasserstein,
                gap / rows_ref / rows_cur + blank AS ks,
                kolmogorov(gap / sqrt(toFloat64(rows_ref) * rows_cur * (rows_ref + rows_cur))) + blank AS ks_p,
                (y_mean - x_mean) / sqrt(nullIf(variance, 0)) + blank AS z,
                ifNull(erfc(abs((y_mean - x_mean) / sqrt(nullIf(variance, 0))) / sqrt(2)), toFloat64(x_mean = y_mean)) + blank AS z_p,
                reason AS note
            FROM
            (
                SELECT position, rows_ref, rows_cur, reason, blank, x_mean, y_mean, x_squares, y_squares,
                    arraySum((s, d) -> abs(s) * d, steps, widths) AS area,
                    arrayMax((s, d, v) -> if(d > abs(v) * 1e-12 + 1e-60, abs(s), 0), steps, widths, later) AS gap,
                    x_squares / (rows_ref - 1) / rows_ref + y_squares / (rows_cur - 1) / rows_cur AS variance
                FROM
                (
                    SELECT position, rows_ref, rows_cur, reason, blank, x_squares, y_squares, x_mean, y_mean,
                        arrayPopBack(arrayCumSum(v -> if(bitTest(reinterpretAsUInt64(v), 0), -toFloat64(rows_ref), toFloat64(rows_cur)), marked)) AS steps,
                        arrayPopFront(arrayDifference(marked)) AS widths, arrayPopFront(marked) AS later
                    FROM
                    (
                        SELECT position, rows_ref, rows_cur, reason, if(empty(reason), 0, NULL) AS blank,
                            arrayReduce('varPopStable', x) * rows_ref AS x_squares, arrayReduce('varPopStable', y) * rows_cur AS y_squares,
                            if(x_squares = 0, toFloat64(x[1]), arrayAvg(x)) AS x_mean, if(y_squares = 0, toFloat64(y[1]), arrayAvg(y)) AS y_mean,
                            arraySort(arrayConcat(arrayMap(v -> mark(v, 0), x), arrayMap(v -> mark(v, 1), y))) AS marked
                        FROM
                        (
                            SELECT x_group, y_group, position_group, rows_ref, rows_cur, reason
                            FROM
                            (
                                SELECT xs, ys, rows_ref, rows_cur,
                                    multiIf(
                                        {ref_from:DateTime64(3, 'UTC')} >= {ref_to:DateTime64(3, 'UTC')}, 'the reference window ends before it begins',
                                        {cur_from:DateTime64(3, 'UTC')} >= {cur_to:DateTime64(3, 'UTC')}, 'the current window ends before it begins',
                                        {ref_from:DateTime64(3, 'UTC')} < {cur_to:DateTime64(3, 'UTC')} AND {cur_from:DateTime64(3, 'UTC')} < {ref_to:DateTime64(3, 'UTC')}, 'the windows overlap',
                                        length(encoders) > 1, concat('the windows hold vectors of several encoders, choose one: ', arrayStringConcat(encoders, ', ')),
                                        rows_ref + rows_cur = 0 AND {encoder:String} != '', concat('the windows hold no vectors of the encoder ', {encoder:String}),
                                        rows_ref = 0, 'the reference window is empty',
                                        rows_cur = 0, 'the current window is empty',
                                        rows_ref < 10, concat('the reference window holds ', toString(rows_ref), ' rows, at least 10 are needed'),
                                        rows_cur < 10, concat('the current window holds ', toString(rows_cur), ' rows, at least 10 are needed'),
                                        narrowest < widest, concat('the windows hold vectors of unequal width, ', toString(narrowest), ' to ', toString(widest)),
                                        NOT finite, 'the windows hold vectors that are not finite',
                                        empty(xs), concat('there are no such components: the vectors have ', toString(widest)),
                                        '') AS reason
                                FROM
                                (
                                    SELECT groupArrayForEachIf(slice, NOT current) AS xs, groupArrayForEachIf(slice, current) AS ys,
                                        countIf(NOT current) AS rows_ref, countIf(current) AS rows_cur, min(length(vector)) AS narrowest, max(length(vector)) AS widest,
                                        min(isFinite(arraySum(slice))) AS finite, arraySort(groupUniqArray(encoder)) AS encoders
                                    FROM
                                    (
                                        SELECT vector, encoder, arraySlice(vector, {component_from:UInt32}, toInt64({component_to:UInt32}) - {component_from:UInt32} + 1) AS slice,
                                            published_at >= {cur_from:DateTime64(3, 'UTC')} AND published_at < {cur_to:DateTime64(3, 'UTC')} AS current
                                        FROM embeddings
                                        WHERE ({encoder:String} = '' OR encoder = {encoder:String})
                                            AND (published_at >= {ref_from:DateTime64(3, 'UTC')} AND published_at < {ref_to:DateTime64(3, 'UTC')}
                                                OR published_at >= {cur_from:DateTime64(3, 'UTC')} AND published_at < {cur_to:DateTime64(3, 'UTC')})
                                    )
                                    SETTINGS max_block_size = 8192
                                )
                            )
                            ARRAY JOIN if(empty(reason), arrayMap(x -> [x], xs), [[[]]]) AS x_group, if(empty(reason), arrayMap(y -> [y], ys), [[[]]]) AS y_group,
                                if(empty(reason), arrayMap(i -> [i + {component_from:UInt32} - 1], arrayEnumerate(xs)), [[0]]) AS position_group
                        )
                        ARRAY JOIN x_group AS x, y_group AS y, position_group AS position
                        SETTINGS max_block_size = 8
                    )
                )
            )
        )
    )
)
