-- Each component of the vectors, compared: SELECT * FROM drift_components(ref_from = '2022-01-01', ref_to = '2023-01-01', cur_from = '2024-01-01',
--     cur_to = '2025-01-01', encoder = '', component_from = 1, component_to = 1024) ORDER BY wasserstein DESC
-- Parameters: the components wanted, from 1, both included. A query takes up to 60 bytes of memory for each row × component: where windows hold 100,000 rows
-- each, ask for 64 components at a time.
-- Columns, for each component: n, m: rows; ref_mean, cur_mean; ref_std, cur_std: of the sample, its squares divided by n - 1;
--   wasserstein: ∫|F - G| / max(σ, 0.001) with both empirical distributions F, G and σ of the reference with squares divided by n, as Evidently's test
--     "wasserstein" has it; ks: max|F - G|; ks_p: of Kolmogorov's limit distribution at ks · √(nm / (n + m)) (SciPy: kstwobign.sf), by the series that converges;
--   z: (cur_mean - ref_mean) / √(ref_std² / n + cur_std² / m), NULL if both are constant; z_p: of the normal distribution, both tails; if both are constant 1
--     where they are equal, else 0;
--   ks_q, z_q: the smallest false discovery rate at which the component counts as drifted (Benjamini and Hochberg 1995), over the components of this query;
--   note: why there is nothing to say. Then there is one row, and all else is NULL.
-- A value and its window are sorted as one Float64, whose last bit says which window: values are Float32, so the bit changes neither order nor ties. The
-- difference of F and G, times nm, is the running sum of +m and -n in that order, in whole numbers.
CREATE OR REPLACE VIEW drift_components AS
WITH
    (
        SELECT note
        FROM drift_embedding_windows(
            ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
            encoder = {encoder:String})
    ) AS windows_note,
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
    SELECT *, count() OVER () AS components, row_number() OVER (ORDER BY ks_p) AS ks_rank, row_number() OVER (ORDER BY z_p) AS z_rank
    FROM
    (
        SELECT
            if(bad, NULL, position) AS component, if(bad, NULL, rows_ref) AS n, if(bad, NULL, rows_cur) AS m,
            if(bad, NULL, x_mean) AS ref_mean, if(bad, NULL, y_mean) AS cur_mean,
            if(bad, NULL, sqrt(x_squares / (rows_ref - 1))) AS ref_std, if(bad, NULL, sqrt(y_squares / (rows_cur - 1))) AS cur_std,
            if(bad, NULL, area / rows_ref / rows_cur / greatest(sqrt(x_squares / rows_ref), 0.001)) AS wasserstein,
            if(bad, NULL, gap / rows_ref / rows_cur) AS ks,
            if(bad, NULL, kolmogorov(gap / sqrt(toFloat64(rows_ref) * rows_cur * (rows_ref + rows_cur)))) AS ks_p,
            x_squares / (rows_ref - 1) / rows_ref + y_squares / (rows_cur - 1) / rows_cur AS variance,
            if(bad OR variance = 0, NULL, (y_mean - x_mean) / sqrt(variance)) AS z,
            if(bad, NULL, if(variance = 0, if(x_mean = y_mean, 1., 0.), erfc(abs((y_mean - x_mean) / sqrt(variance)) / sqrt(2)))) AS z_p,
            reason AS note
        FROM
        (
            SELECT position, rows_ref, rows_cur, reason, notEmpty(reason) AS bad, x_mean, y_mean, x_squares, y_squares,
                arraySort(arrayConcat(arrayMap(v -> mark(v, 0), x), arrayMap(v -> mark(v, 1), y))) AS marked,
                arrayPopBack(arrayCumSum(arrayMap(v -> if(bitTest(reinterpretAsUInt64(v), 0), -toFloat64(rows_ref), toFloat64(rows_cur)), marked))) AS steps,
                arrayPopFront(arrayDifference(arrayMap(v -> reinterpretAsFloat64(bitAnd(reinterpretAsUInt64(v), bitNot(toUInt64(1)))), marked))) AS widths,
                arraySum((s, d) -> abs(s) * d, steps, widths) AS area,
                arrayMax((s, d) -> if(d > 0, abs(s), 0), steps, widths) AS gap
            FROM
            (
                SELECT position, x, y, rows_ref, rows_cur, reason,
                    arrayMin(x) = arrayMax(x) AS x_constant, arrayMin(y) = arrayMax(y) AS y_constant,
                    if(x_constant, toFloat64(x[1]), arrayAvg(x)) AS x_mean, if(y_constant, toFloat64(y[1]), arrayAvg(y)) AS y_mean,
                    if(x_constant, 0, arraySum(v -> (v - x_mean) * (v - x_mean), x)) AS x_squares,
                    if(y_constant, 0, arraySum(v -> (v - y_mean) * (v - y_mean), y)) AS y_squares
                FROM
                (
                    SELECT groupArrayForEachIf(slice, NOT current) AS xs, groupArrayForEachIf(slice, current) AS ys,
                        countIf(NOT current) AS rows_ref, countIf(current) AS rows_cur, min(width) AS narrowest, max(width) AS widest,
                        multiIf(
                            notEmpty(windows_note), windows_note,
                            narrowest < widest, concat('the windows hold vectors of unequal width, ', toString(narrowest), ' to ', toString(widest)),
                            NOT max(finite), 'the windows hold no finite vector',
                            NOT min(finite), 'the windows hold vectors that are not finite',
                            empty(xs), concat('there are no such components: the vectors have ', toString(widest)),
                            '') AS reason
                    FROM
                    (
                        SELECT arraySlice(vector, {component_from:UInt32}, toInt64({component_to:UInt32}) - {component_from:UInt32} + 1) AS slice,
                            length(vector) AS width, isFinite(arraySum(slice)) AS finite, current
                        FROM drift_vectors(
                            ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
                            encoder = {encoder:String})
                        WHERE empty(windows_note)
                    )
                    SETTINGS max_block_size = 8192
                )
                ARRAY JOIN if(empty(reason), xs, [[]]) AS x, if(empty(reason), ys, [[]]) AS y,
                    if(empty(reason), arrayMap(i -> i + {component_from:UInt32} - 1, arrayEnumerate(xs)), [0]) AS position
            )
        )
    )
)
