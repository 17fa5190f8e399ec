-- What was embedded: SHA-256 of the text, without the encoder's prompt; zeros in rows from before. The embed stage looks here for vectors of texts that were embedded
-- already. It is known of any text, so it says of a row only whether its text is one that the asker has.
ALTER TABLE embedding_rows ADD COLUMN IF NOT EXISTS text_hash FixedString(32) COMMENT 'SHA-256 of the text, zeros where it is unknown' CODEC(ZSTD(1)) AFTER text_length;

ALTER TABLE embedding_rows ADD INDEX IF NOT EXISTS by_text text_hash TYPE bloom_filter(0.001) GRANULARITY 1;
