-- How often each value occurs in two windows, from the hourly states: SELECT * FROM drift_counts(column = 'source', ref_from = '2022-01-01', ref_to = '2023-01-01',
-- cur_from = '2024-01-01', cur_to = '2025-01-01', model = '', encoder = ''). It is the others' source; it says neither shares nor whether windows can be compared.
-- Windows (here and in the views made of this one): a window holds the vacancies published in the whole hours that begin at its first moment or later and before its last.
-- Parameters: column, one of drift_hours, '' for every column; model for the columns of predictions, encoder for the others, '' for every one.
-- Columns: column; value, of a column of categories; number, of a column of numbers; n and m, how many rows have it in the reference and in the current window.
CREATE OR REPLACE VIEW drift_counts AS
SELECT column, value, number,
    sumIf(count, hour >= {ref_from:DateTime64(3, 'UTC')} AND hour < {ref_to:DateTime64(3, 'UTC')}) AS n,
    sumIf(count, hour >= {cur_from:DateTime64(3, 'UTC')} AND hour < {cur_to:DateTime64(3, 'UTC')}) AS m
FROM drift_hours
ARRAY JOIN values AS value, numbers AS number, counts AS count
WHERE ({column:String} = '' OR column = {column:String})
    AND ((hour >= {ref_from:DateTime64(3, 'UTC')} AND hour < {ref_to:DateTime64(3, 'UTC')}) OR (hour >= {cur_from:DateTime64(3, 'UTC')} AND hour < {cur_to:DateTime64(3, 'UTC')}))
    AND if(column IN ('category', 'confidence', 'occupations', 'skills', 'tasks'), {model:String} IN ('', subject), {encoder:String} IN ('', subject))
    AND isFinite(number)
GROUP BY column, value, number
HAVING n + m > 0
