-- Rows are known by the coordinates of the record they were made from. A replay inserts the same row again, in the same
-- partition, because received_at is the time of that record; the engine keeps the one inserted last. Readers use the views.
-- Keys begin with what every question fixes: the encoder, or the model. Coordinates follow time within a Kafka
-- partition, so the index on received_at skips most of what a time window does not need.

CREATE TABLE IF NOT EXISTS embedding_rows
(
    raw_topic_id   UUID CODEC(ZSTD(1)),
    raw_partition  Int32 CODEC(Delta, ZSTD(1)),
    raw_offset     Int64 CODEC(Delta, ZSTD(1)),
    received_at    DateTime64(3, 'UTC') COMMENT 'time of the raw record' CODEC(DoubleDelta, ZSTD(1)),
    vacancy_id     String CODEC(ZSTD(1)),
    encoder        LowCardinality(String),
    vector         Array(Float32) COMMENT 'of unit length' CODEC(ZSTD(1)),
    tokens         UInt32 COMMENT 'tokens the encoder read' CODEC(T64, ZSTD(1)),
    truncated      Bool COMMENT 'the text had more tokens than the encoder reads' CODEC(ZSTD(1)),
    source         LowCardinality(String) COMMENT 'where the vacancy comes from',
    language       LowCardinality(String),
    text_length    UInt32 COMMENT 'code points without markup' CODEC(T64, ZSTD(1)),
    employer_hash  String COMMENT 'keyed hash, 16 bytes or none' CODEC(ZSTD(1)),
    published_at   DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    attributes     Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    inserted_at    DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX by_time received_at TYPE minmax GRANULARITY 1,
    INDEX by_vacancy vacancy_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(inserted_at)
PARTITION BY toYYYYMM(received_at)
ORDER BY (encoder, raw_topic_id, raw_partition, raw_offset);

CREATE TABLE IF NOT EXISTS prediction_rows
(
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
ORDER BY (model, raw_topic_id, raw_partition, raw_offset);

CREATE TABLE IF NOT EXISTS label_rows
(
    label_topic_id  UUID CODEC(ZSTD(1)),
    label_partition Int32 CODEC(Delta, ZSTD(1)),
    label_offset    Int64 CODEC(Delta, ZSTD(1)),
    received_at     DateTime64(3, 'UTC') COMMENT 'time of the label record' CODEC(DoubleDelta, ZSTD(1)),
    vacancy_id      String CODEC(ZSTD(1)),
    category_index  UInt16 CODEC(ZSTD(1)),
    category        LowCardinality(String),
    source          LowCardinality(String) COMMENT 'who gave the label',
    labelled_at     DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at     DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX by_time received_at TYPE minmax GRANULARITY 1,
    INDEX by_vacancy vacancy_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(inserted_at)
PARTITION BY toYYYYMM(received_at)
ORDER BY (label_topic_id, label_partition, label_offset);

CREATE TABLE IF NOT EXISTS deadletter_rows
(
    raw_topic_id      UUID CODEC(ZSTD(1)),
    raw_partition     Int32 CODEC(Delta, ZSTD(1)),
    raw_offset        Int64 CODEC(Delta, ZSTD(1)),
    received_at       DateTime64(3, 'UTC') COMMENT 'time of the raw record' CODEC(DoubleDelta, ZSTD(1)),
    refused_topic     LowCardinality(String) COMMENT 'where the refused record was read',
    refused_partition Int32 CODEC(Delta, ZSTD(1)),
    refused_offset    Int64 CODEC(Delta, ZSTD(1)),
    stage             LowCardinality(String),
    class             LowCardinality(String) COMMENT 'kind of error',
    reason            String COMMENT 'quotes no content' CODEC(ZSTD(3)),
    failed_at         DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at       DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX by_time received_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(inserted_at)
PARTITION BY toYYYYMM(received_at)
ORDER BY (stage, raw_topic_id, raw_partition, raw_offset, refused_topic, refused_partition, refused_offset);

-- A run is inserted when it starts and again when it has finished. There are few, so there are no partitions.
CREATE TABLE IF NOT EXISTS training_run_rows
(
    run_id      String,
    started_at  DateTime64(3, 'UTC'),
    finished_at DateTime64(3, 'UTC') COMMENT '1970 while the run goes on',
    encoder     LowCardinality(String),
    taxonomy    LowCardinality(String),
    model       String COMMENT 'identity of the classifier it made',
    rows        UInt64 COMMENT 'labelled vacancies it read',
    seed        UInt64,
    settings    Map(String, String) CODEC(ZSTD(3)),
    metrics     Map(String, Float64) CODEC(ZSTD(3)),
    confusion   Array(Array(UInt32)) COMMENT 'row: true category, column: predicted' CODEC(ZSTD(3)),
    published   Bool,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(inserted_at)
ORDER BY run_id;
