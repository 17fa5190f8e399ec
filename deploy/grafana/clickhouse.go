package grafana

import "github.com/grafana/grafana-foundation-sdk/go/units"

// clickhouse is what the sink writes, and what the warehouse holds.
func clickhouse() board {
	return board{name: "clickhouse", title: "ClickHouse", about: "What the sink writes, how far it is behind, and what the tables and disks hold.", rows: []row{
		{"Do rows arrive?", []panel{
			{kind: number, width: 6, title: "Oldest record not yet in ClickHouse", about: "Normal: seconds. Kafka keeps what waits until its retention ends.", unit: units.Seconds, limits: upTo(60, 600),
				queries: []query{{`max(jobstrom_consumer_lag_seconds{stage="sink"})`, ""}}},
			{kind: number, width: 6, title: "Blocks that failed, last hour", about: "Normal: 0. Each is tried again until ClickHouse takes it.", unit: units.Number, limits: upTo(1, 10),
				queries: []query{{`sum(increase(jobstrom_sink_failures_total[1h]))`, ""}}},
			{kind: number, width: 6, title: "Disk free, fullest disk", about: "Normal: above 20 %. ClickHouse refuses rows when it is full.", unit: units.PercentUnit, limits: []limit{{below, "red"}, {0.1, "orange"}, {0.2, "green"}},
				queries: []query{{`min(jobstrom_warehouse_disk_free_bytes / jobstrom_warehouse_disk_bytes)`, ""}}},
			{kind: number, width: 6, title: "Records that wait in the sink", about: "Of the block that ClickHouse has not taken yet.", unit: units.Short,
				queries: []query{{`sum(jobstrom_sink_pending_records)`, ""}}},
			{title: "Rows per second, by table", about: "Normal: embeddings and predictions alike.", unit: units.CountsPerSecond, queries: []query{
				{`sum by (table) (rate(jobstrom_sink_rows_total[$__rate_interval]))`, "{{table}}"}}},
			{title: "Time from publishing to ClickHouse", about: "Normal: a few seconds more than to the classification.", unit: units.Seconds, queries: []query{
				{`histogram_quantile(0.5, sum by (le) (rate(jobstrom_sink_latency_seconds_bucket[$__rate_interval])))`, "half"},
				{`histogram_quantile(0.99, sum by (le) (rate(jobstrom_sink_latency_seconds_bucket[$__rate_interval])))`, "99 %"}}},
			{title: "Blocks per minute", about: "Taken and failed.", unit: units.Short, queries: []query{
				{`sum(rate(jobstrom_sink_blocks_total[$__rate_interval])) * 60`, "taken"},
				{`sum(rate(jobstrom_sink_failures_total[$__rate_interval])) * 60`, "failed"}}},
			{title: "Time to insert a block", about: "With its offsets, failures included. Normal: below a second.", unit: units.Seconds, limits: upTo(5, 30), queries: []query{
				{`histogram_quantile(0.5, sum by (le) (rate(jobstrom_sink_block_seconds_bucket[$__rate_interval])))`, "half"},
				{`histogram_quantile(0.99, sum by (le) (rate(jobstrom_sink_block_seconds_bucket[$__rate_interval])))`, "99 %"}}},
			{title: "Records of a block, mean", about: "Few when little comes; thousands when much waits, which ClickHouse likes.", unit: units.Short, queries: []query{
				{`sum(rate(jobstrom_sink_block_records_sum[$__rate_interval])) / sum(rate(jobstrom_sink_block_records_count[$__rate_interval]))`, "records"}}},
		}},
		{"What do the tables hold?", []panel{
			{title: "Rows, by table", about: "As they lie on disk, those that a merge will replace included.", unit: units.Short, queries: []query{
				{`max by (table) (jobstrom_warehouse_rows)`, "{{table}}"}}},
			{title: "Bytes, by table", about: "Compressed.", unit: units.BytesIEC, stacked: true, queries: []query{
				{`max by (table) (jobstrom_warehouse_bytes)`, "{{table}}"}}},
			{title: "Active parts, by table", about: "Normal: tens. At some 3,000 in a month ClickHouse refuses inserts.", unit: units.Short, limits: upTo(300, 3000), queries: []query{
				{`max by (table) (jobstrom_warehouse_parts)`, "{{table}}"}}},
			{title: "Disk free, by disk (bytes)", about: "And, of the same disks, what is left in 4 days at the pace of the last 6 hours.", unit: units.BytesIEC, queries: []query{
				{`min by (disk) (jobstrom_warehouse_disk_free_bytes)`, "{{disk}}"},
				{`clamp_min(min by (disk) (predict_linear(jobstrom_warehouse_disk_free_bytes[6h], 4 * 86400)), 0)`, "{{disk}} in 4 days"}}},
		}},
	}}
}
