-- Drift looks at the hours in which vacancies were published: the time of the raw record is that of the import for old history.
ALTER TABLE embedding_rows ADD INDEX IF NOT EXISTS by_published published_at TYPE minmax GRANULARITY 1;

ALTER TABLE prediction_rows ADD INDEX IF NOT EXISTS by_published published_at TYPE minmax GRANULARITY 1;

-- Which hours rows came into or were erased from, and when the states of each hour were computed. The rows of an hour's states hold while computed_at is
-- later than touched_at. DateTime ends in 2106; what claims to be published later has no hour.
CREATE TABLE IF NOT EXISTS touched_hour_rows
(
    dataset     LowCardinality(String) COMMENT 'embeddings, predictions or labels',
    hour        DateTime('UTC') COMMENT 'in which vacancies were published' CODEC(Delta, ZSTD(1)),
    touched_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    computed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT '1970 before it was' CODEC(Delta, ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (dataset, hour);

-- All counts of one column in one hour, computed from the deduplicated rows and replaced whole. Counts have no ids: what was erased is
-- gone from them once they are computed again. One of values and numbers says what was counted, the other holds as many defaults.
CREATE TABLE IF NOT EXISTS drift_hour_rows
(
    dataset       LowCardinality(String) COMMENT 'embeddings, predictions or labels',
    column        LowCardinality(String) COMMENT 'category, confidence, source, attribute.<name>, …',
    subject       LowCardinality(String) COMMENT 'the model of predictions, otherwise the encoder',
    hour          DateTime('UTC') COMMENT 'in which vacancies were published' CODEC(Delta, ZSTD(1)),
    rows          UInt64 COMMENT 'that have the column' CODEC(T64, ZSTD(1)),
    values        Array(String) COMMENT 'of a column of categories' CODEC(ZSTD(1)),
    numbers       Array(Float64) COMMENT 'of a column of numbers' CODEC(ZSTD(1)),
    counts        Array(UInt64) COMMENT 'rows that have the value or number' CODEC(T64, ZSTD(1)),
    received_from DateTime64(3, 'UTC') COMMENT 'received_at of the oldest row counted' CODEC(Delta, ZSTD(1)),
    computed_at   DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed_at)
ORDER BY (column, subject, hour);

-- What is there already was touched by being there.
INSERT INTO touched_hour_rows (dataset, hour, touched_at)
SELECT arrayJoin(['embeddings', 'labels']), toStartOfHour(published_at) AS hour, now64(3)
FROM embedding_rows
WHERE published_at < '2106-01-01'
GROUP BY hour;

INSERT INTO touched_hour_rows (dataset, hour, touched_at)
SELECT 'predictions', toStartOfHour(published_at) AS hour, now64(3)
FROM prediction_rows
WHERE published_at < '2106-01-01'
GROUP BY hour;
