-- A column over time, one row for each step and value: SELECT * FROM drift_series(column = 'category', first = '2026-01-01', last = '2026-02-01', hours = 24, model = 'm1', encoder = '')
-- Parameters: column, model and encoder as in drift_counts; first, last: vacancies published in the whole hours that begin from first on and before last; hours: the length of
-- a step, 1 for an hour, 24 for a day. Steps are counted from 1970 on in UTC.
-- Columns: begin, of the step; value, empty for numeric columns; rows: that have the value; share, of the step's rows that have the column; mean: of a numeric column.
CREATE OR REPLACE VIEW drift_series AS
SELECT begin, value, count AS rows, count / sum(count) OVER (PARTITION BY begin) AS share, if(numeric, total / count, NULL) AS mean
FROM
(
    SELECT toDateTime(intDiv(toUnixTimestamp(hour), 3600 * greatest({hours:UInt32}, 1)) * 3600 * greatest({hours:UInt32}, 1), 'UTC') AS begin, value,
        sum(counted) AS count, sum(number * counted) AS total, {column:String} IN ('confidence', 'occupations', 'skills', 'tasks', 'text_length', 'tokens') AS numeric
    FROM drift_hours
    ARRAY JOIN values AS value, numbers AS number, counts AS counted
    WHERE column = {column:String} AND hour >= {first:DateTime64(3, 'UTC')} AND hour < {last:DateTime64(3, 'UTC')}
        AND if(column IN ('category', 'confidence', 'occupations', 'skills', 'tasks'), {model:String}, {encoder:String}) IN ('', subject)
        AND isFinite(number)
    GROUP BY begin, value
)
ORDER BY begin, value
