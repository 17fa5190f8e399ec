-- Each component of the vectors, compared, without what takes all of them together; ask drift_components. It is for programs that compare components by ranges:
-- they send its query itself, because a view is planned several times, which here takes longer than to compare a million values.
-- Parameters: those of drift_components. Columns: those of drift_components but ks_q and z_q. Where note says why there is nothing to say, there is one row, and
-- all else is meaningless.
-- For the same reason it looks at embedding_rows as the view embeddings does, duplicates, erased rows and what the API answered left out, and not through it.
-- Arrays of arrays are joined twice, as a join makes blocks of no less than what one row holds, and small blocks take far less memory and time.
-- A value and its window are sorted as one Float64, whose last bit says which window: values are Float32, whose distances are beyond 1e-12 of them, so the bit
-- changes neither order nor ties. The difference of F and G, times nm, is the running sum of +m and -n in that order, in whole numbers.
CREATE OR REPLACE VIEW drift_component_figures AS
WITH
    (value, bit) -> reinterpretAsFloat64(bitOr(bitAnd(reinterpretAsUInt64(value), bitNot(toUInt64(1))), toUInt64(bit))) AS mark,
    l -> multiIf(
        l < 0.1, 1.,
        l < 1.18, 1 - sqrt(2 * pi()) / l * arraySum(k -> exp(-pow((2 * k - 1) * pi() / l, 2) / 8), [1, 2, 3, 4]),
        2 * arraySum(k -> if(k % 2 = 1, 1, -1) * exp(-2 * pow(k * l, 2)), [1, 2, 3, 4, 5])) AS kolmogorov
SELECT component, toUInt64(ref_rows) AS n, toUInt64(cur_rows) AS m, ref_mean, cur_mean, ref_std, cur_std,
    area / ref_rows / cur_rows / greatest(sqrt(ref_squares / ref_rows), 0.001) AS wasserstein, gap / ref_rows / cur_rows AS ks, kolmogorov(gap / root) AS ks_p,
    shift / nullIf(deviation, 0) AS z, if(deviation = 0, toFloat64(shift = 0), erfc(abs(shift / deviation) / sqrt(2))) AS z_p, note
FROM
(
    SELECT component, ref_rows, cur_rows, ref_mean, cur_mean, ref_squares, note,
        sqrt(ref_squares / (ref_rows - 1)) AS ref_std, sqrt(cur_squares / (cur_rows - 1)) AS cur_std,
        cur_mean - ref_mean AS shift, sqrt(ref_squares / (ref_rows - 1) / ref_rows + cur_squares / (cur_rows - 1) / cur_rows) AS deviation,
        sqrt(ref_rows * cur_rows * (ref_rows + cur_rows)) AS root,
        arraySum((s, d) -> abs(s) * d, steps, widths) AS area,
        arrayMax((s, d, v) -> if(d > abs(v) * 1e-12 + 1e-60, abs(s), 0), steps, widths, marked) AS gap
    FROM
    (
        SELECT component, ref_rows, cur_rows, ref_mean, cur_mean, ref_squares, cur_squares, note, marked,
            arrayCumSum(v -> cur_rows - (ref_rows + cur_rows) * bitAnd(reinterpretAsUInt64(v), 1), marked) AS steps,
            arrayResize(arrayPopFront(arrayDifference(marked)), length(marked)) AS widths
        FROM
        (
            SELECT component, ref_rows, cur_rows, note,
                arrayReduce('varPopStable', x) * ref_rows AS ref_squares, arrayReduce('varPopStable', y) * cur_rows AS cur_squares,
                if(ref_squares = 0, toFloat64(x[1]), arrayAvg(x)) AS ref_mean, if(cur_squares = 0, toFloat64(y[1]), arrayAvg(y)) AS cur_mean,
                arraySort(arrayConcat(arrayMap(v -> mark(v, 0), CAST(x, 'Array(Float64)')), arrayMap(v -> mark(v, 1), CAST(y, 'Array(Float64)')))) AS marked
            FROM
            (
                SELECT x_group, y_group, component_group, toFloat64(n) AS ref_rows, toFloat64(m) AS cur_rows, note
                FROM
                (
                    SELECT groupArrayForEachIf(slice, NOT current) AS xs, groupArrayForEachIf(slice, current) AS ys, countIf(NOT current) AS n, countIf(current) AS m,
                        min(length(vector)) AS narrowest, max(length(vector)) AS widest, arraySort(groupUniqArray(encoder)) AS encoders,
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
                            narrowest < widest, concat('the windows hold vectors of unequal width, ', toString(narrowest), ' to ', toString(widest)),
                            NOT min(isFinite(arraySum(slice))), 'the windows hold vectors that are not finite',
                            empty(xs), concat('there are no such components: the vectors have ', toString(widest)),
                            '') AS note
                    FROM
                    (
                        SELECT vector, encoder, arraySlice(vector, {component_from:UInt32}, toInt64({component_to:UInt32}) - {component_from:UInt32} + 1) AS slice,
                            published_at >= {cur_from:DateTime64(3, 'UTC')} AND published_at < {cur_to:DateTime64(3, 'UTC')} AS current
                        FROM embedding_rows FINAL
                        WHERE origin = 'stream' AND ({encoder:String} = '' OR encoder = {encoder:String})
                            AND (published_at >= {ref_from:DateTime64(3, 'UTC')} AND published_at < {ref_to:DateTime64(3, 'UTC')}
                                OR published_at >= {cur_from:DateTime64(3, 'UTC')} AND published_at < {cur_to:DateTime64(3, 'UTC')})
                            AND (raw_topic_id, raw_partition, raw_offset) NOT IN
                            (
                                SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
                                FROM embedding_rows AS r
                                INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
                                WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < e.topic_offset
                            )
                    )
                    SETTINGS max_block_size = 8192, do_not_merge_across_partitions_select_final = 1, distributed_product_mode = 'local'
                )
                ARRAY JOIN if(empty(note), arrayMap(x -> [x], xs), [[[]]]) AS x_group, if(empty(note), arrayMap(y -> [y], ys), [[[]]]) AS y_group,
                    if(empty(note), arrayMap(i -> [toUInt64(i + {component_from:UInt32} - 1)], arrayEnumerate(xs)), [[toUInt64(0)]]) AS component_group
            )
            ARRAY JOIN x_group AS x, y_group AS y, component_group AS component
            SETTINGS max_block_size = 8
        )
    )
)
