-- How the values of a column of categories differ between two windows, one row a value: SELECT * FROM drift_values(column = 'source', ref_from = '2022-01-01',
-- ref_to = '2023-01-01', cur_from = '2024-01-01', cur_to = '2025-01-01', model = '', encoder = '')
-- Parameters: those of drift_counts; column is category, label, source, language, truncated or attribute.<name>.
-- Columns, for a value with n of N rows in the reference and m of M in the current window, p = n/N and q = m/M:
-- reference, current: n and m; reference_share, current_share: p and q; difference: q − p;
-- residual: the difference in its standard errors without drift, (q − p)/√(s(1 − s)(1/N + 1/M)), s = (n + m)/(N + M): the adjusted residual of Haberman (1973);
-- psi: what it adds to the population stability index, (p − q)·ln(p/q), where a share of 0 counts as 1e-4 or, when the window's smallest other share is no larger than
-- that, as a millionth of it (Evidently's get_binned_data); chi_square: what it adds to Pearson's statistic of the current counts against the reference's
-- shares, (m − pM)²/(pM), infinite for a value that the reference lacks (scipy.stats.chisquare, as Evidently calls it);
-- note: why the statistics are NULL, otherwise empty. Without any row there is one row with the note.
CREATE OR REPLACE VIEW drift_values AS
WITH (share, least) -> if(share > 0, share, if(least <= 1e-4, least / 1e6, 1e-4)) AS filled
SELECT value, reference, current,
    if(n = 0, NULL, reference / n) AS reference_share, if(m = 0, NULL, current / m) AS current_share,
    if(note = '', current / m - reference / n, NULL) AS difference,
    if(note = '', (current / m - reference / n) / sqrt((reference + current) / (n + m) * (1 - (reference + current) / (n + m)) * (1 / n + 1 / m)), NULL) AS residual,
    if(note = '', (filled(reference / n, least_n) - filled(current / m, least_m)) * log(filled(reference / n, least_n) / filled(current / m, least_m)), NULL) AS psi,
    if(note = '', pow(current - reference * (m / n), 2) / (reference * (m / n)), NULL) AS chi_square,
    note
FROM
(
    SELECT sum(counts.n) AS n, sum(counts.m) AS m, minIf(counts.n, counts.n > 0) / n AS least_n, minIf(counts.m, counts.m > 0) / m AS least_m,
        arraySort(groupArray((counts.value, counts.n, counts.m))) AS rows,
        multiIf(
            {ref_from:DateTime64(3, 'UTC')} >= {ref_to:DateTime64(3, 'UTC')}, 'the reference window ends before it begins',
            {cur_from:DateTime64(3, 'UTC')} >= {cur_to:DateTime64(3, 'UTC')}, 'the current window ends before it begins',
            {ref_from:DateTime64(3, 'UTC')} < {cur_to:DateTime64(3, 'UTC')} AND {cur_from:DateTime64(3, 'UTC')} < {ref_to:DateTime64(3, 'UTC')}, 'the windows overlap',
            n = 0 AND m = 0, 'both windows are empty', n = 0, 'the reference window is empty', m = 0, 'the current window is empty',
            n < 10 OR m < 10, 'a window has fewer than 10 rows',
            length(rows) = 1, 'both windows hold one value', '') AS note
    FROM drift_counts(column = {column:String}, ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')}, model = {model:String}, encoder = {encoder:String}) AS counts
    WHERE {column:String} NOT IN ('', 'confidence', 'occupations', 'skills', 'tasks', 'text_length', 'tokens')
)
LEFT ARRAY JOIN rows.1 AS value, rows.2 AS reference, rows.3 AS current
ORDER BY value
