-- What was done to models, from models.history, and the card of each, which outlives the model.
CREATE TABLE IF NOT EXISTS model_history_rows
(
    event_id          String,
    history_offset    Int64 COMMENT 'place in models.history',
    at                DateTime64(3, 'UTC'),
    action            LowCardinality(String) COMMENT 'register, promote, rollback, challenge, withdraw or retire',
    model             String COMMENT 'identity of the classifier',
    taxonomy          LowCardinality(String),
    encoder           LowCardinality(String),
    previous          String COMMENT 'the champion whose place it took',
    reason            String CODEC(ZSTD(3)),
    version           LowCardinality(String) COMMENT 'of the jobstrom that did it',
    trained_at        DateTime64(3, 'UTC') COMMENT 'this and what follows is the card, when it is registered',
    trained_by        LowCardinality(String) COMMENT 'version of jobstrom',
    encoder_name      LowCardinality(String),
    metrics           Map(String, Float64) CODEC(ZSTD(3)),
    settings          Map(String, String) CODEC(ZSTD(3)),
    history_rows      UInt64 COMMENT 'labelled vacancies it was made of',
    history_first     DateTime64(3, 'UTC') COMMENT 'when the oldest of them was received',
    history_last      DateTime64(3, 'UTC') COMMENT 'when the newest of them was received',
    temperature       Float32,
    prior             Array(Float32) CODEC(ZSTD(3)),
    baseline_rows     UInt64,
    baseline_mean     Array(Float32) COMMENT 'of the vectors that were trained on' CODEC(ZSTD(3)),
    baseline_variance Array(Float32) CODEC(ZSTD(3)),
    baseline_shares   Array(Float32) COMMENT 'of the categories' CODEC(ZSTD(3)),
    inserted_at       DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(inserted_at)
ORDER BY (taxonomy, encoder, history_offset, event_id);

CREATE VIEW IF NOT EXISTS model_history AS
SELECT event_id, history_offset, at, action, model, taxonomy, encoder, previous, reason, version, trained_at, trained_by, encoder_name, metrics, settings,
    history_rows, history_first, history_last, temperature, prior, baseline_rows, baseline_mean, baseline_variance, baseline_shares
FROM model_history_rows FINAL;

-- Who was live when. The champion of now is live until 2100.
CREATE VIEW IF NOT EXISTS champions AS
SELECT taxonomy, encoder, model, previous, reason, at AS live_from,
    leadInFrame(at, 1, toDateTime64('2100-01-01 00:00:00', 3, 'UTC'))
        OVER (PARTITION BY taxonomy, encoder ORDER BY history_offset ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS live_until
FROM model_history_rows FINAL
WHERE action IN ('promote', 'rollback');

-- Each model with its card, as it was registered last.
CREATE VIEW IF NOT EXISTS models AS
SELECT r.model AS model, r.taxonomy AS taxonomy, r.encoder AS encoder, r.encoder_name AS encoder_name, r.trained_at AS trained_at, r.trained_by AS trained_by,
    r.metrics AS metrics, r.settings AS settings, r.history_rows AS history_rows, r.history_first AS history_first, r.history_last AS history_last,
    r.temperature AS temperature, r.prior AS prior, r.baseline_rows AS baseline_rows, r.baseline_mean AS baseline_mean, r.baseline_variance AS baseline_variance,
    r.baseline_shares AS baseline_shares, r.at AS registered_at, d.first_live AS first_live, d.retired_at AS retired_at
FROM
(
    SELECT * FROM model_history_rows FINAL WHERE action = 'register' ORDER BY history_offset DESC LIMIT 1 BY model
) AS r
LEFT JOIN
(
    SELECT model, minOrNullIf(at, action IN ('promote', 'rollback')) AS first_live,
        if(argMax(action, history_offset) = 'retire', max(at), NULL) AS retired_at
    FROM model_history_rows FINAL
    GROUP BY model
) AS d ON d.model = r.model;

-- Each prediction with its model's card and the promotion under which it was made; without a promotion live_from is empty, as for the classifier that comes with
-- jobstrom before anything was promoted.
CREATE VIEW IF NOT EXISTS predictions_with_models AS
SELECT p.raw_topic_id AS raw_topic_id, p.raw_partition AS raw_partition, p.raw_offset AS raw_offset, p.received_at AS received_at, p.vacancy_id AS vacancy_id,
    p.model AS model, p.encoder AS encoder, p.category_index AS category_index, p.category AS category, p.confidence AS confidence, p.classified_at AS classified_at,
    if(c.model = '', NULL, c.live_from) AS live_from, if(m.model = '', NULL, m.trained_at) AS trained_at, m.history_rows AS history_rows, m.metrics AS metrics,
    m.settings AS settings
FROM predictions AS p
ASOF LEFT JOIN champions AS c ON c.model = p.model AND c.live_from <= p.classified_at
LEFT JOIN models AS m ON m.model = p.model
SETTINGS join_use_nulls = 0;
