-- The same record always lands in the same partition, so partitions need no merging with each other.

CREATE VIEW IF NOT EXISTS embeddings AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, encoder, vector, tokens, truncated, source,
    language, text_length, lower(hex(embedding_rows.employer_hash)) AS employer_hash, published_at, attributes
FROM embedding_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS predictions AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, model, encoder, category_index, category,
    confidence, probabilities, occupations, skills, tasks, truncated, published_at, classified_at
FROM prediction_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS dead_letters AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, refused_topic, refused_partition, refused_offset, stage,
    class, reason, failed_at
FROM deadletter_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS training_runs AS
SELECT run_id, started_at, finished_at, encoder, taxonomy, model, rows, seed, settings, metrics, confusion, published
FROM training_run_rows FINAL;

-- One label a vacancy: the newest, and of two given at the same time the one received last. The maximum of equal rows is
-- that row, so duplicates need no FINAL.
CREATE VIEW IF NOT EXISTS labels AS
SELECT vacancy_id, newest.1 AS labelled_at, newest.2 AS received_at, newest.3 AS label_topic_id,
    newest.4 AS label_partition, newest.5 AS label_offset, newest.6 AS category_index, newest.7 AS category, newest.8 AS source
FROM
(
    SELECT vacancy_id, max((labelled_at, received_at, label_topic_id, label_partition, label_offset, category_index,
        category, source)) AS newest
    FROM label_rows
    GROUP BY vacancy_id
);

-- What the trainer learns from: the label of each vacancy with its newest embedding, one for each encoder. The newest is
-- found by coordinates first, so that no vector is held in memory.
CREATE VIEW IF NOT EXISTS history AS
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
        GROUP BY vacancy_id, encoder
    )
)
SETTINGS do_not_merge_across_partitions_select_final = 1, query_plan_join_swap_table = 'false';
