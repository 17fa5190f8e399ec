-- Every column that drift counts, compared between two windows by every statistic that suits it, one row a column: SELECT * FROM drift_columns(ref_from = '2022-01-01',
-- ref_to = '2023-01-01', cur_from = '2024-01-01', cur_to = '2025-01-01', model = 'm1', encoder = 'e1')
-- Parameters: the windows as in drift_counts; model for the columns of predictions, encoder for the others, '' for every one.
-- Columns: column; kind, categorical or numeric; reference, current: rows that have it, N and M; distinct_values: in both windows together.
-- Distances of the shares p of the reference and q of the current window, of values; of a numeric column with more than 20 different numbers in the reference, of bins of
-- equal width (Sturges): psi, Σ(p − q)·ln(p/q), and kl, Σp·ln(p/q) in nats of shares that sum to 1, with zeros filled as in drift_values (Evidently's get_binned_data, scipy.stats.entropy);
-- jensen_shannon, the distance √(½Σ(p·ln(p/s) + q·ln(q/s))), s = (p + q)/2 (scipy.spatial.distance.jensenshannon); hellinger, √(1 − Σ√(pq)) (Evidently's of categories; it takes
-- that of numeric columns of densities);
-- total_variation, ½Σ|p − q|. Tests, NULL for binned columns: chi_square, Pearson's test of the current counts against the reference's shares, taken for known, infinite
-- with a value that the reference lacks (scipy.stats.chisquare, as Evidently calls it); contingency, of both windows as samples (scipy.stats.chi2_contingency without
-- correction); both with chi_square_df degrees of freedom, p by the finite sums of Abramowitz and Stegun 26.4.4 and 26.4.5; of two values alone: z, that of two
-- proportions, of the second value in ascending order, positive when the reference has more of it (Evidently's proportions_diff_z_test).
-- Of numeric columns: ks, the largest distance of the distribution functions, and ks_p, by Kolmogorov's limit for √(NM/(N + M))·ks, which is good from some 50 rows on;
-- wasserstein, the area between these functions divided by the reference's standard deviation, at least 0.001 (Evidently); mann_whitney, U of the reference, z without and p
-- with correction for continuity, both with the correction for ties (scipy.stats.mannwhitneyu, asymptotic); means; standard deviations, divided by N and M; quantiles:
-- the smallest numbers that 5, 25, 50, 75 and 95 % of the rows do not exceed. note: why the statistics are NULL, otherwise empty.
-- A figure is that of drift_hours' counts: confidences are rounded to 0.0005, numbers that are not finite are left out.
CREATE OR REPLACE VIEW drift_columns AS
WITH
    (share, least) -> if(share > 0, share, if(least <= 1e-4, least / 1e6, 1e-4)) AS filled,
    (x, df) -> multiIf(x <= 0, 1, isInfinite(x), 0, df % 2 = 0, arraySum(i -> exp(-x / 2 + i * log(x / 2) - lgamma(i + 1)), range(toUInt64(df / 2))), erfc(sqrt(x / 2)) + arraySum(i -> exp(-x / 2 + (i + 0.5) * log(x / 2) - lgamma(i + 1.5)), range(toUInt64((df - 1) / 2)))) AS tail,
    l -> greatest(0, least(1, multiIf(l < 0.1, 1, l < 1.18, 1 - sqrt(2 * pi()) / l * arraySum(i -> exp(-pow((2 * i + 1) * pi() / l, 2) / 8), range(10)), 2 * arraySum(i -> if(i % 2 = 0, 1, -1) * exp(-2 * pow((i + 1) * l, 2)), range(20))))) AS kolmogorov
SELECT column, kind, toUInt64(n) AS reference, toUInt64(m) AS current, values AS distinct_values,
    if(note = '', arraySum((p, q) -> (p - q) * log(p / q), ps, qs), NULL) AS psi,
    if(note = '', sqrt(greatest(0, arraySum((r, c) -> if(r > 0, r / n * log(2 * (r / n) / (r / n + c / m)), 0) + if(c > 0, c / m * log(2 * (c / m) / (r / n + c / m)), 0), binned_n, binned_m) / 2)), NULL) AS jensen_shannon,
    if(note = '', greatest(0, arraySum((p, q) -> p * log(p / q), ps, qs) / arraySum(ps) - log(arraySum(ps) / arraySum(qs))), NULL) AS kl,
    if(note = '', sqrt(1 - least(1, arraySum((r, c) -> sqrt(r / n * (c / m)), binned_n, binned_m))), NULL) AS hellinger,
    if(note = '', arraySum((r, c) -> abs(r / n - c / m), binned_n, binned_m) / 2, NULL) AS total_variation,
    if(note = '' AND bins = 0, chi, NULL) AS chi_square,
    if(note = '' AND bins = 0, values - 1, NULL) AS chi_square_df,
    if(note = '' AND bins = 0, tail(chi, toFloat64(values - 1)), NULL) AS chi_square_p,
    if(note = '' AND bins = 0, contingent, NULL) AS contingency,
    if(note = '' AND bins = 0, tail(contingent, toFloat64(values - 1)), NULL) AS contingency_p,
    if(note = '' AND values = 2, zs, NULL) AS z,
    if(note = '' AND values = 2, erfc(abs(zs) / sqrt(2)), NULL) AS z_p,
    if(note = '' AND kind = 'numeric', distance, NULL) AS ks,
    if(note = '' AND kind = 'numeric', kolmogorov(distance * sqrt(n * m / (n + m))), NULL) AS ks_p,
    if(note = '' AND kind = 'numeric', arraySum((f, g, step) -> abs(f - g) * step, arrayPopBack(fs), arrayPopBack(gs), arrayPopFront(arrayDifference(xs))) / greatest(sqrt(variance_n), 0.001), NULL) AS wasserstein,
    if(note = '' AND kind = 'numeric', u, NULL) AS mann_whitney,
    if(note = '' AND kind = 'numeric', (u - n * m / 2) / spread, NULL) AS mann_whitney_z,
    if(note = '' AND kind = 'numeric', least(1, erfc((abs(u - n * m / 2) - 0.5) / spread / sqrt(2))), NULL) AS mann_whitney_p,
    if(kind = 'numeric' AND n > 0, mean_n, NULL) AS reference_mean, if(kind = 'numeric' AND m > 0, mean_m, NULL) AS current_mean,
    if(kind = 'numeric' AND n > 0, sqrt(variance_n), NULL) AS reference_std, if(kind = 'numeric' AND m > 0, sqrt(variance_m), NULL) AS current_std,
    if(kind = 'numeric' AND n > 0, arrayMap(l -> xs[arrayFirstIndex(f -> f >= l - 1e-12, fs)], [0.05, 0.25, 0.5, 0.75, 0.95]), []) AS reference_quantiles,
    if(kind = 'numeric' AND m > 0, arrayMap(l -> xs[arrayFirstIndex(g -> g >= l - 1e-12, gs)], [0.05, 0.25, 0.5, 0.75, 0.95]), []) AS current_quantiles,
    note
FROM
(
    SELECT *,
        arrayMap(r -> filled(r / n, least_n), binned_n) AS ps, arrayMap(c -> filled(c / m, least_m), binned_m) AS qs,
        arrayMax(arrayMap((f, g) -> abs(f - g), fs, gs)) AS distance,
        arraySum((x, c) -> pow(x - mean_n, 2) * c, xs, ns) / n AS variance_n, arraySum((x, c) -> pow(x - mean_m, 2) * c, xs, ms) / m AS variance_m,
        (ns[1] / n - ms[1] / m) AS less, (ns[1] + ms[1]) / (n + m) AS pooled, -less / sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)) AS zs
    FROM
    (
        SELECT *,
            arrayMin(arrayFilter(r -> r > 0, binned_n)) / n AS least_n, arrayMin(arrayFilter(c -> c > 0, binned_m)) / m AS least_m,
            arraySum((r, c) -> pow(c - r * (m / n), 2) / (r * (m / n)), ns, ms) AS chi,
            arraySum((r, c) -> pow(r - (r + c) * (n / (n + m)), 2) / (r + c), ns, ms) * (n + m) / n * ((n + m) / m) AS contingent,
            arrayMap(c -> c / n, arrayCumSum(ns)) AS fs, arrayMap(c -> c / m, arrayCumSum(ms)) AS gs,
            arraySum((x, c) -> x * c, xs, ns) / n AS mean_n, arraySum((x, c) -> x * c, xs, ms) / m AS mean_m,
            arraySum((r, below, c) -> r * (below - c / 2), ns, arrayCumSum(ms), ms) AS u,
            sqrt(n * m / 12 * (n + m + 1 - arraySum((r, c) -> pow(r + c, 3) - (r + c), ns, ms) / ((n + m) * (n + m - 1)))) AS spread
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
                        SELECT column, value, number, n, m FROM drift_counts(column = '', ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')}, model = {model:String}, encoder = {encoder:String})
                        UNION ALL -- the columns that are always there
                        SELECT arrayJoin(['category', 'confidence', 'occupations', 'skills', 'tasks', 'source', 'language', 'truncated', 'text_length', 'tokens', 'label']), '', 0, 0, 0
                    ) AS counts
                    GROUP BY column
                )
            )
        )
    )
)
ORDER BY column
