-- What the watch saw and did. An event may be written several times, by several watches that saw the same and when it is delivered: the row that was delivered
-- furthest counts.
CREATE TABLE IF NOT EXISTS drift_event_rows
(
    event_id            String COMMENT 'the same of the same event, whichever process saw it',
    at                  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    watch               LowCardinality(String) COMMENT 'the windows that are compared; each watch has its own alarms',
    kind                LowCardinality(String) COMMENT 'raised, cleared; retraining, promoted, kept, failed',
    alarm_id            String COMMENT 'event_id of the event that raised the alarm',
    column              LowCardinality(String) COMMENT 'what drifted',
    verdict             LowCardinality(String) COMMENT 'none, possible or drift',
    effect              Float64 COMMENT 'size of the difference',
    effect_name         LowCardinality(String),
    gate                Float64 COMMENT 'the effect from which on the verdict is drift',
    q                   Float64 COMMENT 'how often chance makes such a difference, corrected for the number of columns',
    reference_from      DateTime64(3, 'UTC'),
    reference_to        DateTime64(3, 'UTC'),
    reference_vacancies UInt64,
    current_from        DateTime64(3, 'UTC'),
    current_to          DateTime64(3, 'UTC'),
    current_vacancies   UInt64,
    changes             Array(Tuple(value String, reference Float64, current Float64)) COMMENT 'values whose shares changed most',
    encoder             LowCardinality(String),
    model               String COMMENT 'that was trained; empty for alarms',
    reason              String COMMENT 'for people',
    version             LowCardinality(String) COMMENT 'of the jobstrom that wrote it',
    published_at        DateTime64(3, 'UTC') COMMENT 'on drift.events; 1970 before it was',
    called_at           DateTime64(3, 'UTC') COMMENT 'when the webhook took it, or it was published and there was none; 1970 before',
    deliveries          UInt8 MATERIALIZED (published_at > 0) + (called_at > 0)
)
ENGINE = ReplacingMergeTree(deliveries)
ORDER BY event_id;

CREATE VIEW IF NOT EXISTS drift_events AS
SELECT * FROM drift_event_rows FINAL;
