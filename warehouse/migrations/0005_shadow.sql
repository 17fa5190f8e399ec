-- What a reprocessing said, kept apart from what consumers were told. A name is one reprocessing.
CREATE TABLE IF NOT EXISTS shadow_rows
(
    name           LowCardinality(String) COMMENT 'of the reprocessing',
    raw_topic_id   UUID CODEC(ZSTD(1)),
    raw_partition  Int32 CODEC(Delta, ZSTD(1)),
    raw_offset     Int64 CODEC(Delta, ZSTD(1)),
    received_at    DateTime64(3, 'UTC') COMMENT 'time of the raw record' CODEC(DoubleDelta, ZSTD(1)),
    vacancy_id     String CODEC(ZSTD(1)),
    model          LowCardinality(String) COMMENT 'identity of the classifier',
    encoder        LowCardinality(String),
    category_index UInt16 CODEC(ZSTD(1)),
    category       LowCardinality(String),
    confidence     Float32 COMMENT 'the highest probability' CODEC(ZSTD(1)),
    probabilities  Array(Float32) COMMENT 'one for each category, in index order' CODEC(ZSTD(1)),
    occupations    Array(String) CODEC(ZSTD(3)),
    skills         Array(String) CODEC(ZSTD(3)),
    tasks          Array(String) CODEC(ZSTD(3)),
    truncated      Bool CODEC(ZSTD(1)),
    published_at   DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    classified_at  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at    DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX by_time received_at TYPE minmax GRANULARITY 1,
    INDEX by_vacancy vacancy_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(inserted_at)
PARTITION BY toYYYYMM(received_at)
ORDER BY (name, model, raw_topic_id, raw_partition, raw_offset);

CREATE VIEW IF NOT EXISTS shadow_predictions AS
SELECT name, raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, model, encoder, category_index, category,
    confidence, probabilities, occupations, skills, tasks, truncated, published_at, classified_at
FROM shadow_rows FINAL
WHERE (raw_topic_id, raw_partition, raw_offset) NOT IN
(
    SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
    FROM shadow_rows AS r
    INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
    WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < e.topic_offset
)
SETTINGS do_not_merge_across_partitions_select_final = 1;
