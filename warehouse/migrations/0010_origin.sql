-- What the API answered stands beside what the stream did, known by its place on predictions.api, and apart from it: embeddings, predictions and history go on saying what the
-- stream did. api_ views hold the API's, all_ views both, with the column origin.
ALTER TABLE embedding_rows ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'stream' COMMENT 'stream, or api: an answer of the API, whose raw_ columns are its place on predictions.api';

ALTER TABLE prediction_rows ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'stream' COMMENT 'stream, or api: an answer of the API, whose raw_ columns are its place on predictions.api';

CREATE OR REPLACE VIEW embeddings AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, encoder, vector, tokens, truncated, source,
    language, text_length, lower(hex(embedding_rows.employer_hash)) AS employer_hash, published_at, attributes
FROM embedding_rows FINAL
WHERE origin = 'stream' AND (raw_topic_id, raw_partition, raw_offset) NOT IN
(
    SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
    FROM embedding_rows AS r
    INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
    WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < e.topic_offset
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS all_embeddings AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, encoder, vector, tokens, truncated, source,
    language, text_length, lower(hex(embedding_rows.employer_hash)) AS employer_hash, published_at, attributes, origin
FROM embedding_rows FINAL
WHERE (raw_topic_id, raw_partition, raw_offset) NOT IN
(
    SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
    FROM embedding_rows AS r
    INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
    WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < e.topic_offset
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS api_embeddings AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, encoder, vector, tokens, truncated, source,
    language, text_length, employer_hash, published_at, attributes
FROM all_embeddings
WHERE origin = 'api';

CREATE OR REPLACE VIEW predictions AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, model, encoder, category_index, category,
    confidence, probabilities, occupations, skills, tasks, truncated, published_at, classified_at
FROM prediction_rows FINAL
WHERE origin = 'stream' AND (raw_topic_id, raw_partition, raw_offset) NOT IN
(
    SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
    FROM prediction_rows AS r
    INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
    WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < e.topic_offset
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS all_predictions AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, model, encoder, category_index, category,
    confidence, probabilities, occupations, skills, tasks, truncated, published_at, classified_at, origin
FROM prediction_rows FINAL
WHERE (raw_topic_id, raw_partition, raw_offset) NOT IN
(
    SELECT r.raw_topic_id, r.raw_partition, r.raw_offset
    FROM prediction_rows AS r
    INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.raw_topic_id AND e.topic_partition = r.raw_partition
    WHERE r.vacancy_id IN (SELECT vacancy_id FROM erasure_rows) AND r.raw_offset < e.topic_offset
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS api_predictions AS
SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, model, encoder, category_index, category,
    confidence, probabilities, occupations, skills, tasks, truncated, published_at, classified_at
FROM all_predictions
WHERE origin = 'api';

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
        WHERE origin = 'stream' AND (raw_topic_id, raw_partition, raw_offset) NOT IN
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

CREATE VIEW IF NOT EXISTS api_history AS
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
        WHERE origin = 'api' AND (raw_topic_id, raw_partition, raw_offset) NOT IN
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

-- A vacancy that the stream and the API answered is there once, as it was answered last.
CREATE VIEW IF NOT EXISTS all_history AS
SELECT e.vacancy_id AS vacancy_id, e.encoder AS encoder, e.vector AS vector, l.category_index AS category_index,
    e.source AS source, lower(hex(e.employer_hash)) AS employer_hash, e.received_at AS received_at,
    l.labelled_at AS labelled_at, l.source AS label_source, e.origin AS origin
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
