-- What a dead letter says since it can be replayed. Letters of before have no place; they are shown with -1.

ALTER TABLE deadletter_rows
    ADD COLUMN IF NOT EXISTS letter_partition Int32 DEFAULT -1 COMMENT 'place on vacancies.deadletter' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS letter_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS attempts UInt32 COMMENT 'tries before it was refused' CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS model LowCardinality(String) COMMENT 'classifier or encoder at work',
    ADD COLUMN IF NOT EXISTS version LowCardinality(String) COMMENT 'of the jobstrom that refused it',
    ADD COLUMN IF NOT EXISTS replays UInt32 COMMENT 'replays before it was refused' CODEC(T64, ZSTD(1));

-- A replay has the key of the letter that was replayed, and its received_at, so both expire together.
CREATE TABLE IF NOT EXISTS deadletter_replay_rows
(
    raw_topic_id      UUID CODEC(ZSTD(1)),
    raw_partition     Int32 CODEC(Delta, ZSTD(1)),
    raw_offset        Int64 CODEC(Delta, ZSTD(1)),
    received_at       DateTime64(3, 'UTC') COMMENT 'time of the raw record' CODEC(DoubleDelta, ZSTD(1)),
    refused_topic     LowCardinality(String),
    refused_partition Int32 CODEC(Delta, ZSTD(1)),
    refused_offset    Int64 CODEC(Delta, ZSTD(1)),
    stage             LowCardinality(String),
    replayed_at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at       DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(inserted_at)
PARTITION BY toYYYYMM(received_at)
ORDER BY (stage, raw_topic_id, raw_partition, raw_offset, refused_topic, refused_partition, refused_offset);

CREATE OR REPLACE VIEW dead_letters AS
SELECT d.raw_topic_id AS raw_topic_id, d.raw_partition AS raw_partition, d.raw_offset AS raw_offset, d.received_at AS received_at,
    d.refused_topic AS refused_topic, d.refused_partition AS refused_partition, d.refused_offset AS refused_offset, d.stage AS stage,
    d.class AS class, d.reason AS reason, d.failed_at AS failed_at, d.letter_partition AS letter_partition, d.letter_offset AS letter_offset,
    d.attempts AS attempts, d.model AS model, d.version AS version, d.replays AS replays,
    if(r.stage = '', NULL, r.replayed_at) AS replayed_at
FROM deadletter_rows AS d FINAL
LEFT JOIN
(
    SELECT raw_topic_id, raw_partition, raw_offset, refused_topic, refused_partition, refused_offset, stage, min(replayed_at) AS replayed_at
    FROM deadletter_replay_rows
    GROUP BY raw_topic_id, raw_partition, raw_offset, refused_topic, refused_partition, refused_offset, stage
) AS r USING (raw_topic_id, raw_partition, raw_offset, refused_topic, refused_partition, refused_offset, stage)
SETTINGS do_not_merge_across_partitions_select_final = 1, join_use_nulls = 0;
