package capacity

import (
	"fmt"
	"math"
	"time"
)

// Plan is what a demand needs. Bytes count every replica.
type Plan struct {
	Demand   Demand   `json:"demand"`
	Measured Measured `json:"measured"`
	// Mean is vacancies a second over the day, Busiest those of the busiest hour: Mean × Peak.
	Mean    float64 `json:"mean_per_second"`
	Busiest float64 `json:"busiest_per_second"`
	// Needed is what every stage must manage: the larger of Busiest and what catches up after an outage, Mean × (1 + Outage / CatchUp).
	Needed float64 `json:"needed_per_second"`

	Stages []Stage `json:"stages"`
	// Flows is how many sets of topics there are, each with processes and partitions of its own: more than one where a stage has more workers than a topic may have partitions.
	Flows int `json:"flows"`
	// Partitions, of each flow, is twice the workers of the largest stage × Growth, rounded up to a multiple of 12 so that 2, 3, 4, 6 or 12 processes share them evenly; at least 12, at most what a topic may have.
	Partitions int `json:"partitions"`

	Topics []Volume `json:"topics"`
	// KafkaBytes is the topics' sum; KafkaIn what producers and stages write a second at Needed, replicas not counted, and KafkaOut what stages and sink read.
	KafkaBytes float64 `json:"kafka_bytes"`
	KafkaIn    float64 `json:"kafka_in_bytes_per_second"`
	KafkaOut   float64 `json:"kafka_out_bytes_per_second"`

	Tables []Volume `json:"tables"`
	// ClickHouseBytes is the tables' sum over Utilisation, since merges write a part anew before they drop the old ones.
	ClickHouseBytes float64 `json:"clickhouse_bytes"`
	// ClickHouseProcessors is Needed × ClickHouseMS over Utilisation, of each replica.
	ClickHouseProcessors float64 `json:"clickhouse_processors"`
	// SimilarMemory is what searching similar vacancies by index takes at the end of the retention: rows × IndexRowBytes for each encoder and replica.
	SimilarMemory float64 `json:"similar_memory_bytes"`
	// Shards is how many servers of ClickHouse share the rows, each with Replicas copies: the most that disk, memory or processors ask for.
	Shards int `json:"shards"`

	// Limits are what breaks first, in order.
	Limits []Limit `json:"limits"`
}

// Stage is one stage of the flow, or the sink.
type Stage struct {
	Name string `json:"name"`
	// MS is milliseconds of a processor for a vacancy, Kafka included.
	MS float64 `json:"ms"`
	// Processors is Needed × MS over Utilisation; Processes that many over the processors of one, rounded up; two at least, so that one may die.
	Processors float64 `json:"processors"`
	Processes  int     `json:"processes"`
	// MemoryBytes is of one process.
	MemoryBytes float64 `json:"memory_bytes"`
}

// Volume is a topic or a table.
type Volume struct {
	Name string `json:"name"`
	// Each is bytes of one record or row, on one replica.
	Each   float64       `json:"bytes_each"`
	Keep   time.Duration `json:"keep_ns"`
	Copies int           `json:"copies"`
	Bytes  float64       `json:"bytes"`
}

// workersOfAProcess is the default of --workers.
const workersOfAProcess = 2

// segment is how long Kafka may keep a record beyond its retention: it deletes whole segments, and kafka.Topics closes them after a day.
const segment = day

// For works out what a demand needs.
func For(d Demand, m Measured) (Plan, error) {
	d.EnsureDefaults()
	if err := d.Validate(); err != nil {
		return Plan{}, fmt.Errorf("planning: %w", err)
	}
	if err := m.Validate(); err != nil {
		return Plan{}, fmt.Errorf("planning with what was measured: %w", err)
	}
	p := Plan{Demand: d, Measured: m, Mean: d.PerDay / day.Seconds()}
	p.Busiest = p.Mean * d.Peak
	p.Needed = max(p.Busiest, p.Mean*(1+float64(d.Outage)/float64(d.CatchUp)))
	encoders := float64(d.Encoders)

	stage := func(name string, ms, memory float64) Stage {
		processors := p.Needed * ms / 1000 / d.Utilisation
		s := Stage{Name: name, MS: ms, Processors: processors, Processes: max(2, ceil(processors/float64(d.Processors))), MemoryBytes: memory}
		p.Stages = append(p.Stages, s)
		return s
	}
	largest := 0
	for _, s := range []Stage{
		stage("extract", m.ExtractMS+m.StageMS, stageMemory),
		// Encoders side by side have processes of their own; the row is their sum.
		stage("embed", encoders*(m.EmbedMS+m.StageMS), encoderMemory),
		stage("classify", encoders*(m.ClassifyMS+m.StageMS), stageMemory),
		stage("sink", m.SinkMS*(1+(encoders-1)/2), stageMemory), // half of the sink's work are vectors
	} {
		largest = max(largest, s.Processes)
	}
	workers := float64(largest * workersOfAProcess)
	p.Flows = ceil(workers / maxPartitions)
	p.Partitions = min(maxPartitions, 12*ceil(2*workers/float64(p.Flows)*d.Growth/12))

	topic := func(name string, each float64, keep time.Duration, readers, copies float64) {
		v := Volume{Name: name, Each: each, Keep: keep, Copies: d.Replication, Bytes: copies * each * d.PerDay * (keep + segment).Hours() / 24 * float64(d.Replication)}
		p.Topics = append(p.Topics, v)
		p.KafkaBytes += v.Bytes
		p.KafkaIn += copies * each * p.Needed
		p.KafkaOut += copies * each * p.Needed * readers
	}
	topic("vacancies.raw", m.RawBytes, d.Topics.Raw, 1, 1)
	topic("vacancies.extracted", m.ExtractedBytes, d.Topics.Extracted, encoders, 1)
	topic("vacancies.embedded.*", m.EmbeddedBytes, d.Topics.Embedded, 2, encoders) // classify and sink
	topic("vacancies.classified", m.ClassifiedBytes, d.Topics.Classified, 2, 1)    // the sink, and whoever it is for
	if d.Encoders > 1 {
		topic("vacancies.shadow", m.ClassifiedBytes, d.Topics.Raw, 1, encoders-1)
	}

	rows := d.PerDay * d.Keep.Hours() / 24
	table := func(name string, each, copies float64) {
		v := Volume{Name: name, Each: each, Keep: d.Keep, Copies: d.Replicas, Bytes: copies * each * rows * float64(d.Replicas)}
		p.Tables = append(p.Tables, v)
		p.ClickHouseBytes += v.Bytes / d.Utilisation
	}
	table("embedding_rows", m.EmbeddingRowBytes, encoders)
	table("prediction_rows", m.PredictionRowBytes, 1)
	if d.Encoders > 1 {
		table("shadow_rows", m.PredictionRowBytes, encoders-1)
	}
	memory := 0.
	if !d.WithoutSimilar {
		table("similar_*", m.SimilarRowBytes, encoders)
		memory = encoders * rows * m.IndexRowBytes
	}
	p.SimilarMemory = memory * float64(d.Replicas)
	p.ClickHouseProcessors = p.Needed * m.ClickHouseMS / 1000 / d.Utilisation
	p.Shards = max(1, ceil(p.ClickHouseBytes/float64(d.Replicas)/d.ServerDisk), ceil(memory/(indexShare*d.ServerMemory)), ceil(p.ClickHouseProcessors/float64(d.ServerProcessors)))
	p.Limits = limits(p)
	return p, nil
}

// What a process of a stage holds: docs/benchmarks/embed-memory.txt for one with the encoder; without it the records of --worker-bytes for each worker, and the program.
const (
	encoderMemory = 520e6 + workersOfAProcess*32<<20
	stageMemory   = 100e6 + workersOfAProcess*32<<20
)

func ceil(x float64) int { return int(math.Ceil(x)) }
