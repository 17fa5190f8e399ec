-- An erased vacancy stays erased: its tombstones are kept, one for each partition of the topic that rows are known by (the raw topic; for labels
-- their own). A row of the vacancy is erased if it lies before the tombstone of its partition; what was published afterwards is kept.
-- The newest tombstone of a partition says it all. The id is kept as it stands: nothing else of the vacancy is left to link it to, and a backup that is
-- restored must be cleaned again.

CREATE TABLE IF NOT EXISTS erasure_rows
(
    vacancy_id      String CODEC(ZSTD(1)),
    topic_id        UUID COMMENT 'the raw topic, or that of the labels' CODEC(ZSTD(1)),
    topic_partition Int32 CODEC(Delta, ZSTD(1)),
    topic_offset    Int64 COMMENT 'of the tombstone: what lies before it is erased' CODEC(Delta, ZSTD(1)),
    erased_at       DateTime64(3, 'UTC') COMMENT 'time of the tombstone' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(topic_offset)
ORDER BY (vacancy_id, topic_id, topic_partition);

CREATE VIEW IF NOT EXISTS erasures AS
SELECT vacancy_id, topic_id, topic_partition, topic_offset, erased_at
FROM erasure_rows FINAL;

-- A dead letter is erased with its vacancy, so it says whose it is, where the refused record could be read that far.
ALTER TABLE deadletter_rows ADD COLUMN IF NOT EXISTS vacancy_id String COMMENT 'empty where the record could not be read' CODEC(ZSTD(1)) AFTER reason;

ALTER TABLE deadletter_rows ADD INDEX IF NOT EXISTS by_vacancy vacancy_id TYPE bloom_filter GRANULARITY 1;

-- The sink deletes erased rows. The views leave out what it has not deleted yet, or what another sink inserted late. They look for erased
-- coordinates first, because that is nothing or little, where a join would touch every row of every query.

CREATE OR REPLACE VIEW embeddings AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, encoder, vector, tokens, truncated, source,
    language, text_length, lower(hex(embedding_rows.employer_hash)) AS employer_hash, published_at, attributes
FROM embedding_rows FINAL
WHERE (raw_topic_id, raw_partition, raw_offset) NOT IN
(
    SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
    FROM embedding_rows AS r
    INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
    WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < e.topic_offset
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW predictions AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, model, encoder, category_index, category,
    confidence, probabilities, occupations, skills, tasks, truncated, published_at, classified_at
FROM prediction_rows FINAL
WHERE (raw_topic_id, raw_partition, raw_offset) NOT IN
(
    SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
    FROM prediction_rows AS r
    INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
    WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < e.topic_offset
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW dead_letters AS
SELECT d.raw_topic_id AS raw_topic_id, d.raw_partition AS raw_partition, d.raw_offset AS raw_offset, d.received_at AS received_at,
    d.refused_topic AS refused_topic, d.refused_partition AS refused_partition, d.refused_offset AS refused_offset, d.stage AS stage,
    d.class AS class, d.reason AS reason, d.vacancy_id AS vacancy_id, d.failed_at AS failed_at, d.letter_partition AS letter_partition,
    d.letter_offset AS letter_offset, d.attempts AS attempts, d.model AS model, d.version AS version, d.replays AS replays,
    if(r.stage = '', NULL, r.replayed_at) AS replayed_at
FROM deadletter_rows AS d FINAL
LEFT JOIN
(
    SELECT raw_topic_id, raw_partition, raw_offset, refused_topic, refused_partition, refused_offset, stage, min(replayed_at) AS replayed_at
    FROM deadletter_replay_rows
    GROUP BY raw_topic_id, raw_partition, raw_offset, refused_topic, refused_partition, refused_offset, stage
) AS r USING (raw_topic_id, raw_partition, raw_offset, refused_topic, refused_partition, refused_offset, stage)
WHERE (d.raw_topic_id, d.raw_partition, d.raw_offset) NOT IN
(
    SELECT x.raw_topic_id, x.raw_partition, x.raw_offset
    FROM deadletter_rows AS x
    INNER JOIN erasure_rows AS e ON e.vacancy_id = x.vacancy_id AND e.topic_id = x.raw_topic_id AND e.topic_partition = x.raw_partition
    WHERE x.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND x.raw_offset < e.topic_offset
)
SETTINGS do_not_merge_across_partitions_select_final = 1, join_use_nulls = 0;

CREATE OR REPLACE VIEW labels AS
SELECT vacancy_id, newest.1 AS labelled_at, newest.2 AS received_at, newest.3 AS label_topic_id,
    newest.4 AS label_partition, newest.5 AS label_offset, newest.6 AS category_index, newest.7 AS category, newest.8 AS source
FROM
(
    SELECT vacancy_id, max((labelled_at, received_at, label_topic_id, label_partition, label_offset, category_index,
        category, source)) AS newest
    FROM label_rows
    WHERE (label_topic_id, label_partition, label_offset) NOT IN
    (
        SELECT r.label_topic_id, r.label_partition, r.label_offset
        FROM label_rows AS r
        INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.label_topic_id AND e.topic_partition = r.label_partition
        WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.label_offset < e.topic_offset
    )
    GROUP BY vacancy_id
);

CREATE OR REPLACE VIEW history AS
SELECT e.vacancy_id AS vacancy_id, e.encoder AS encoder, e.vector AS vector, l.category_index AS category_index,
    e.source AS source, lower(hex(e.employer_hash)) AS employer_hash, e.received_at AS received_at,
    l.labelled_at AS labelled_at, l.source AS label_source
FROM embedding_rows AS e FINAL
INNER JOIN labels AS l ON l.vacancy_id = e.vacancy_id
WHERE (e.encoder, e.raw_topic_id, e.raw_partition, e.raw_offset) IN
(
    SELECT encoder, newest.2, newest.3, newest.4
    FROM
    (
        SELECT encoder, max((received_at, raw_topic_id, raw_partition, raw_offset)) AS newest
        FROM embedding_rows
        WHERE (raw_topic_id, raw_partition, raw_offset) NOT IN
        (
            SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
            FROM embedding_rows AS r
            INNER JOIN erasure_rows AS d ON d.vacancy_id = r.vacancy_id AND d.topic_id = r.raw_topic_id AND d.topic_partition = r.raw_partition
            WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < d.topic_offset
        )
        GROUP BY vacancy_id, encoder
    )
)
SETTINGS do_not_merge_across_partitions_select_final = 1, query_plan_join_swap_table = 'false';
