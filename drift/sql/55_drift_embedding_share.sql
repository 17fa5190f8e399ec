-- How many components of the vectors drifted: one row. It compares all components at once: past 50 million rows × components, sum up drift_components by ranges.
-- SELECT * FROM drift_embedding_share(ref_from = '2022-01-01', ref_to = '2023-01-01', cur_from = '2024-01-01', cur_to = '2025-01-01', encoder = '')
-- Columns: components; drifted: those with wasserstein >= 0.1 (see drift_components); share: drifted / components, as Evidently's method "ratio" has it;
--   ks_drifted, z_drifted: those with ks_q, z_q < 0.05; note: why there is nothing to say, then all else is NULL.
CREATE OR REPLACE VIEW drift_embedding_share AS
WITH notEmpty(any(c.note)) AS bad
SELECT if(bad, NULL, count()) AS components, if(bad, NULL, countIf(wasserstein >= 0.1)) AS drifted, if(bad, NULL, drifted / components) AS share,
    if(bad, NULL, countIf(ks_q < 0.05)) AS ks_drifted, if(bad, NULL, countIf(z_q < 0.05)) AS z_drifted, any(c.note) AS note
FROM drift_components(
    ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')},
    encoder = {encoder:String}, component_from = 1, component_to = 1000000) AS c
