package grafana

import "github.com/grafana/grafana-foundation-sdk/go/units"

// stages is what each stage does, waits for and refuses.
func stages() board {
	return board{name: "stages", title: "Stages", stages: true, about: "Each stage of the flow: how much it does, what it has still to read, what fails. Choose stages and topics above.", rows: []row{
		{"How much is done?", []panel{
			{title: "Records per second, by stage", about: "Normal: all stages alike; embed is the slowest when vacancies wait.", unit: units.CountsPerSecond, queries: []query{
				{`sum by (stage) (rate(jobstrom_stage_records_total{stage=~"$stage"}[$__rate_interval]))`, "{{stage}}"}}},
			{title: "Time from publishing to a stage's commit, 99 %", about: "Each stage adds to the one before. Where the lines part is where vacancies wait.", unit: units.Seconds, limits: upTo(30, 60), queries: []query{
				{`histogram_quantile(0.99, sum by (stage, le) (rate(jobstrom_stage_latency_seconds_bucket{stage=~"$stage"}[$__rate_interval])))`, "{{stage}}"}}},
			{title: "Bytes per second, by stage", about: "Keys, values and headers of what is read.", unit: units.BytesPerSecondSI, queries: []query{
				{`sum by (stage) (rate(jobstrom_stage_bytes_total{stage=~"$stage"}[$__rate_interval]))`, "{{stage}}"}}},
			{title: "Records in flight, by worker (bytes)", about: "Fetched ahead or being worked on. Normal: below --worker-bytes.", unit: units.BytesSI, queries: []query{
				{`jobstrom_stage_inflight_bytes{stage=~"$stage"}`, "{{stage}} {{worker}}"}}},
		}},
		{"What waits?", []panel{
			{title: "Unread records, by stage and topic", about: "Normal: near 0. A line that only climbs is a stage too slow: see JobstromLagGrowing.", unit: units.Short, queries: []query{
				{`sum by (stage, topic) (max by (stage, topic, partition) (jobstrom_consumer_lag_records{stage=~"$stage",topic=~"$topic"}))`, "{{stage}} {{topic}}"}}},
			{title: "Age of the oldest unread record, by stage and topic", about: "Normal: seconds. It shows what waits longest, however few they are.", unit: units.Seconds, limits: upTo(60, 300), queries: []query{
				{`max by (stage, topic) (jobstrom_consumer_lag_seconds{stage=~"$stage",topic=~"$topic"})`, "{{stage}} {{topic}}"}}},
			{title: "Partitions that stand longest (seconds)", about: "Time since the committed offset moved while something waits. Normal: below 10 s. Stuck from 30 s on.", unit: units.Seconds, limits: []limit{{30, "red"}}, queries: []query{
				{`topk(10, max by (stage, topic, partition) (jobstrom_consumer_standing_seconds{stage=~"$stage",topic=~"$topic"}))`, "{{stage}} {{topic}}/{{partition}}"}}},
			{title: "Size of topics on the brokers (bytes)", about: "Of one replica. Normal: level, once retention has come round.", unit: units.BytesIEC, queries: []query{
				{`max by (topic) (jobstrom_topic_bytes{topic=~"$topic"})`, "{{topic}}"}}},
		}},
		{"What fails?", []panel{
			{title: "Transactions per second, by end", about: "Normal: committed. Moved: a rebalance gave the records to another worker. Failed ones are done again.", unit: units.OpsPerSecond, queries: []query{
				{`sum by (stage, end) (rate(jobstrom_stage_transactions_total{stage=~"$stage"}[$__rate_interval]))`, "{{stage}} {{end}}"}}},
			{title: "Failures per hour, by stage and verdict", about: "Of whole batches and sessions. Normal: 0. Retry: tried again; suspect: the batch is halved; fatal: the worker begins anew.", unit: units.Short, limits: noneIsNormal, queries: []query{
				{`sum by (stage, verdict) (rate(jobstrom_stage_errors_total{stage=~"$stage"}[$__rate_interval])) * 3600`, "{{stage}} {{verdict}}"}}},
			{title: "Dead letters, share of a stage's records", about: "Normal: below 1 %. The alert begins at 5 %.", unit: units.PercentUnit, limits: []limit{{0.05, "orange"}}, queries: []query{
				{`sum by (stage) (rate(jobstrom_stage_dead_letters_total{stage=~"$stage",stage!="sink"}[$__rate_interval])) / sum by (stage) (rate(jobstrom_stage_records_total{stage=~"$stage"}[$__rate_interval]))`, "{{stage}}"}}},
			{title: "Time of a transaction", about: "From its beginning to its end. Normal: well below the 10 s at which a transaction is full.", unit: units.Seconds, queries: []query{
				{`histogram_quantile(0.5, sum by (stage, le) (rate(jobstrom_stage_transaction_seconds_bucket{stage=~"$stage"}[$__rate_interval])))`, "{{stage}} half"},
				{`histogram_quantile(0.99, sum by (stage, le) (rate(jobstrom_stage_transaction_seconds_bucket{stage=~"$stage"}[$__rate_interval])))`, "{{stage}} 99 %"}}},
			{title: "Records of a transaction, mean", about: "Few when little comes, hundreds when much waits.", unit: units.Short, queries: []query{
				{`sum by (stage) (rate(jobstrom_stage_batch_records_sum{stage=~"$stage"}[$__rate_interval])) / sum by (stage) (rate(jobstrom_stage_batch_records_count{stage=~"$stage"}[$__rate_interval]))`, "{{stage}}"}}},
		}},
		{"Does the encoder compute what it must?", []panel{
			{title: "Embedding cache, share of hits", about: "Texts whose vector need not be computed. Normal: the share of vacancies that are published twice.", unit: units.PercentUnit, queries: []query{
				{`sum(rate(jobstrom_embed_cache_hits_total[$__rate_interval])) / (sum(rate(jobstrom_embed_cache_hits_total[$__rate_interval])) + sum(rate(jobstrom_embed_cache_misses_total[$__rate_interval])))`, "hits"}}},
			{title: "Embedding cache, bytes", about: "At most --embed-cache in each process.", unit: units.BytesSI, queries: []query{
				{`sum(jobstrom_embed_cache_bytes)`, "bytes of all processes"}}},
			{title: "Embedding cache, vectors", about: "Level once the cache is full.", unit: units.Short, queries: []query{
				{`sum(jobstrom_embed_cache_vectors)`, "vectors of all processes"}}},
			{title: "Vectors found in ClickHouse per second, by result", about: "Only with --embed-reuse. Failed: ClickHouse did not answer, and the text was embedded.", unit: units.OpsPerSecond, queries: []query{
				{`sum by (result) (rate(jobstrom_embed_stored_total[$__rate_interval]))`, "{{result}}"}}},
		}},
		{"How do the Kafka clients fare?", []panel{
			{title: "Bytes per second on the wire", about: "Of all clients.", unit: units.BytesPerSecondSI, queries: []query{
				{`sum(rate(jobstrom_kafka_read_bytes_total[$__rate_interval]))`, "read"},
				{`sum(rate(jobstrom_kafka_write_bytes_total[$__rate_interval]))`, "written"}}},
			{title: "Bytes of records per second, as packed", about: "Fetched and produced, compressed.", unit: units.BytesPerSecondSI, queries: []query{
				{`sum(rate(jobstrom_kafka_fetch_bytes_total[$__rate_interval]))`, "fetched"},
				{`sum(rate(jobstrom_kafka_produce_bytes_total[$__rate_interval]))`, "produced"}}},
			{title: "Errors per hour", about: "Of all clients. Normal: 0, but for the moments in which a broker restarts.", unit: units.Short, limits: noneIsNormal, queries: []query{
				{`(sum(rate(jobstrom_kafka_connect_errors_total[$__rate_interval])) or vector(0)) * 3600`, "connecting"},
				{`(sum(rate(jobstrom_kafka_read_errors_total[$__rate_interval])) or vector(0)) * 3600`, "reading"},
				{`(sum(rate(jobstrom_kafka_write_errors_total[$__rate_interval])) or vector(0)) * 3600`, "writing"}}},
			{title: "Connections per hour", about: "Normal: few, after a start or a broker's restart.", unit: units.Short, queries: []query{
				{`sum(rate(jobstrom_kafka_connects_total[$__rate_interval])) * 3600`, "opened"},
				{`sum(rate(jobstrom_kafka_disconnects_total[$__rate_interval])) * 3600`, "closed"}}},
			{title: "Records buffered", about: "Fetched and not yet taken, or produced and not yet acknowledged.", unit: units.Short, queries: []query{
				{`sum(jobstrom_kafka_buffered_fetch_records_total)`, "fetched"},
				{`sum(jobstrom_kafka_buffered_produce_records_total)`, "produced"}}},
			{title: "Bytes buffered", about: "Of the same records.", unit: units.BytesSI, queries: []query{
				{`sum(jobstrom_kafka_buffered_fetch_bytes)`, "fetched"},
				{`sum(jobstrom_kafka_buffered_produce_bytes)`, "produced"}}},
		}},
	}}
}
