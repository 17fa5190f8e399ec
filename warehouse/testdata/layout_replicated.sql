-- CREATE TABLE IF NOT EXISTS erasure_rows (     vacancy_id String CODEC(ZSTD(1)),     topic_offset Int64 ) ENGINE = ReplacingMergeTree(topic_offset) PARTITION BY toYYYYMM(received_at) ORDER BY (vacancy_id, topic_id)
CREATE TABLE IF NOT EXISTS erasure_rows ON CLUSTER 'prod'
(
    vacancy_id String CODEC(ZSTD(1)),
    topic_offset Int64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/jobs/erasure_rows', '{replica}', topic_offset)
PARTITION BY toYYYYMM(received_at)
ORDER BY (vacancy_id, topic_id);

-- CREATE TABLE IF NOT EXISTS touched_hour_rows (     hour DateTime('UTC') ) ENGINE = AggregatingMergeTree ORDER BY (dataset, hour)
CREATE TABLE IF NOT EXISTS touched_hour_rows ON CLUSTER 'prod'
(
    hour DateTime('UTC')
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/jobs/touched_hour_rows', '{replica}')
ORDER BY (dataset, hour);

-- ALTER TABLE embedding_rows ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'stream'
ALTER TABLE embedding_rows ON CLUSTER 'prod' ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'stream';

-- ALTER TABLE embedding_rows ADD INDEX IF NOT EXISTS by_text text_hash TYPE bloom_filter(0.001) GRANULARITY 1
ALTER TABLE embedding_rows ON CLUSTER 'prod' ADD INDEX IF NOT EXISTS by_text text_hash TYPE bloom_filter(0.001) GRANULARITY 1;

-- CREATE OR REPLACE VIEW labels AS SELECT vacancy_id FROM label_rows
CREATE OR REPLACE VIEW labels ON CLUSTER 'prod' AS
SELECT vacancy_id FROM label_rows;

-- CREATE OR REPLACE VIEW dead_letters AS SELECT d.stage FROM deadletter_rows AS d FINAL SETTINGS join_use_nulls = 0
CREATE OR REPLACE VIEW dead_letters ON CLUSTER 'prod' AS
SELECT d.stage FROM deadletter_rows AS d FINAL
SETTINGS join_use_nulls = 0;

-- CREATE MATERIALIZED VIEW IF NOT EXISTS similar_0123456789abcdef_4_feed TO similar_0123456789abcdef_4 AS SELECT vacancy_id FROM embedding_rows WHERE encoder = 'e'
CREATE MATERIALIZED VIEW IF NOT EXISTS similar_0123456789abcdef_4_feed ON CLUSTER 'prod' TO similar_0123456789abcdef_4 AS SELECT vacancy_id FROM embedding_rows WHERE encoder = 'e';

-- ALTER TABLE similar_0123456789abcdef_4 MODIFY COMMENT 'filled'
ALTER TABLE similar_0123456789abcdef_4 ON CLUSTER 'prod' MODIFY COMMENT 'filled';

-- ALTER TABLE embedding_rows MODIFY TTL toDateTime(received_at) + toIntervalSecond(172800) TO VOLUME 'cold', toDateTime(received_at) + toIntervalSecond(345600)
ALTER TABLE embedding_rows ON CLUSTER 'prod' MODIFY TTL toDateTime(received_at) + toIntervalSecond(172800) TO VOLUME 'cold', toDateTime(received_at) + toIntervalSecond(345600);

-- DELETE FROM label_rows WHERE (label_topic_id, label_partition, label_offset) IN (('t',1,2))
DELETE FROM label_rows WHERE (label_topic_id, label_partition, label_offset) IN (('t',1,2));

-- INSERT INTO touched_hour_rows (dataset, hour, touched_at) SELECT 'predictions', hour, now64(3) FROM prediction_rows
INSERT INTO touched_hour_rows (dataset, hour, touched_at)
SELECT 'predictions', hour, now64(3) FROM prediction_rows;

