-- How the predicted categories differ between two windows, one row a category: SELECT * FROM drift_categories(ref_from = '2022-01-01', ref_to = '2023-01-01',
-- cur_from = '2024-01-01', cur_to = '2025-01-01', model = 'm1')
-- Parameters: the windows as in drift_counts; model, '' for every model. Columns: category, and those of drift_values.
CREATE OR REPLACE VIEW drift_categories AS
SELECT value AS category, reference, current, reference_share, current_share, difference, residual, psi, chi_square, note
FROM drift_values(column = 'category', ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')}, cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')}, model = {model:String}, encoder = '')
ORDER BY category
