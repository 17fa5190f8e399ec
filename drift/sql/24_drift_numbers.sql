-- The histogram of a numeric column in two windows, one row a bin: SELECT * FROM drift_numbers(column = 'text_length', ref_from = '2022-01-01', ref_to = '2023-01-01',
-- cur_from = '2024-01-01', cur_to = '2025-01-01', model = '', encoder = '')
-- Parameters: those of drift_counts; column is confidence, occupations, skills, tasks, text_length or tokens.
-- Columns: low and high, the bin's edges; a bin holds its lower edge and the last one both, and up to 20 different numbers of the reference are bins of their own, as are then all of the current window; reference, current:
-- rows; reference_share, current_share; psi: what the bin adds to drift_columns' psi; note: why psi is NULL, otherwise empty.
CREATE OR REPLACE VIEW drift_numbers AS
WITH (share, least) -> if(share > 0, share, if(least <= 1e-4, least / 1e6, 1e-4)) AS filled
SELECT if(bins > 0, lowest + bin * width, xs[bin + 1]) AS low, if(bins > 0, lowest + (bin + 1) * width, xs[bin + 1]) AS high, toUInt64(in_n) AS reference, toUInt64(in_m) AS current,
    if(n = 0, NULL, in_n / n) AS reference_share, if(m = 0, NULL, in_m / m) AS current_share,
    if(note = '', (filled(in_n / n, least_n) - filled(in_m / m, least_m)) * log(filled(in_n / n, least_n) / filled(in_m / m, least_m)), NULL) AS psi,
    note
FROM
(
    SELECT n, m, note, bins, low AS lowest, width, xs, binned_n, binned_m,
        arrayMin(arrayFilter(r -> r > 0, binned_n)) / n AS least_n, arrayMin(arrayFilter(c -> c > 0, binned_m)) / m AS least_m
    FROM
    (
        -- Bins, where the reference has more than 20 different numbers: as many as Sturges (1926) says, of equal width, their edges compared as numpy.histogram does.
        SELECT *, arrayMap((x, i) -> toInt64(i - (x < low + i * width) + (i < bins - 1 AND x >= low + (i + 1) * width)), if(bins > 0, xs, []), near) AS places,
            if(bins > 0, arrayMap(b -> arraySum((i, c) -> if(i = b, c, 0), places, ns), range(bins)), ns) AS binned_n,
            if(bins > 0, arrayMap(b -> arraySum((i, c) -> if(i = b, c, 0), places, ms), range(bins)), ms) AS binned_m
        FROM
        (
            SELECT *, if(kind = 'numeric' AND arrayCount(r -> r > 0, ns) > 20, toUInt64(ceil(log2(greatest(n + m, 1)) + 1)), 0) AS bins, if(values > 0, xs[1], 0) AS low, if(values > 0, xs[-1], 0) AS high, (high - low) / bins AS width,
                arrayMap(x -> toInt64(least(toFloat64(bins - 1), floor((x - low) / (high - low) * bins))), if(bins > 0, xs, [])) AS near
            FROM
            (
                SELECT column, if(column IN ('confidence', 'occupations', 'skills', 'tasks', 'text_length', 'tokens'), 'numeric', 'categorical') AS kind,
                    arraySort(groupArrayIf((number, value, toFloat64(counts.n), toFloat64(counts.m)), counts.n + counts.m > 0)) AS rows, length(rows) AS values,
                    rows.1 AS xs, rows.3 AS ns, rows.4 AS ms, toFloat64(sum(counts.n)) AS n, toFloat64(sum(counts.m)) AS m,
                    multiIf(
                        {ref_from:DateTime64(3, 'UTC')} >= {ref_to:DateTime64(3, 'UTC')}, 'the reference window ends before it begins',
                        {cur_from:DateTime64(3, 'UTC')} >= {cur_to:DateTime64(3, 'UTC')}, 'the current window ends before it begins',
                        {ref_from:DateTime64(3, 'UTC')} < {cur_to:DateTime64(3, 'UTC')} AND {cur_from:DateTime64(3, 'UTC')} < {ref_to:DateTime64(3, 'UTC')}, 'the windows overlap',
                        n = 0 AND m = 0, 'both windows are empty', n = 0, 'the reference window is empty', m = 0, 'the current window is empty',
                        n < 10 OR m < 10, 'a window has fewer than 10 rows',
                        values = 1, 'both windows hold one value', '') AS note
                FROM
                (
                    SELECT column, value, number, n, m FROM drift_counts(column = {column:String}, ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')}, model = {model:String}, encoder = {encoder:String})
                ) AS counts
                GROUP BY column
            )
        )
    )
    WHERE kind = 'numeric'
)
ARRAY JOIN range(length(binned_n)) AS bin, binned_n AS in_n, binned_m AS in_m
ORDER BY bin
