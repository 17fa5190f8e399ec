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
-- Figures are gathered before they are ranked, or the sort would come first and carry all arrays; and before they are made NULL, as what if() chooses from is
-- computed lazily, again for each column that needs it.
CREATE OR REPLACE VIEW drift_components AS
SELECT component, n, m, ref_mean, cur_mean, ref_std, cur_std, wasserstein, ks, ks_p, min(ks_p * components / ks_rank) OVER (ORDER BY ks_rank DESC) AS ks_q,
    z, z_p, min(z_p * components / z_rank) OVER (ORDER BY z_rank DESC) AS z_q, note
FROM
(
    SELECT figures.13 AS note, if(empty(note), 0, NULL) AS blank, figures.1 + blank AS component, figures.2 + blank AS n, figures.3 + blank AS m,
        figures.4 + blank AS ref_mean, figures.5 + blank AS cur_mean, figures.6 + blank AS ref_std, figures.7 + blank AS cur_std, figures.8 + blank AS wasserstein,
        figures.9 + blank AS ks, figures.10 + blank AS ks_p, figures.11 + blank AS z, figures.12 + blank AS z_p,
        count() OVER () AS components, row_number() OVER (ORDER BY figures.10) AS ks_rank, row_number() OVER (ORDER BY figures.12) AS z_rank
    FROM
    (
        SELECT arrayJoin(groupArray((component, n, m, ref_mean, cur_mean, ref_std, cur_std, wasserstein, ks, ks_p, z, z_p, note))) AS figures
        FROM drift_component_figures(
            ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
            encoder = {encoder:String}, component_from = {component_from:UInt32}, component_to = {component_to:UInt32})
    )
)
