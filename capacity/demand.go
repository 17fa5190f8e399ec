package capacity

import (
	"errors"
	"fmt"
	"time"
)

// Demand is what a flow must do.
type Demand struct {
	// PerDay is how many vacancies are published on an average day.
	PerDay float64 `json:"vacancies_per_day"`
	// Peak is the rate of the busiest hour over that of the average one. Default 3.
	Peak float64 `json:"peak"`
	// Outage is for how long the flow may stand still, CatchUp in what time afterwards it must have caught up: 0 and by default 4 h.
	Outage  time.Duration `json:"outage_ns"`
	CatchUp time.Duration `json:"catch_up_ns"`
	// Utilisation is the share of processors and disks that is used at most, 0 to 1. Default .7.
	Utilisation float64 `json:"utilisation"`
	// Growth is how many times the demand the partitions are made for: their number never changes. Default 4.
	Growth float64 `json:"growth"`
	// Processors of one process of a stage, and of a server of Kafka or ClickHouse. Default 4 and 8.
	Processors       int `json:"processors"`
	ServerProcessors int `json:"server_processors"`
	// ServerDisk and ServerMemory are bytes of one server of ClickHouse. Defaults 4 TB and 64 GB.
	ServerDisk   float64 `json:"server_disk_bytes"`
	ServerMemory float64 `json:"server_memory_bytes"`
	// Replication is Kafka's replication factor, Replicas how many servers of ClickHouse hold each row. Defaults 3 and 1.
	Replication int `json:"replication"`
	Replicas    int `json:"replicas"`
	// Keep is how long ClickHouse keeps rows. Default a year.
	Keep time.Duration `json:"keep_ns"`
	// Topics says how long Kafka keeps each kind of record: raw, extracted, embedded and classified.
	Topics Retention `json:"topics"`
	// Encoders is how many answer side by side, the live one included. Default 1. All are taken to cost what the measured one costs.
	Encoders int `json:"encoders"`
	// WithoutSimilar leaves out the table in which similar vacancies are searched.
	WithoutSimilar bool `json:"without_similar,omitempty"`
}

// Retention says how long Kafka keeps records. Its defaults are those of the topics that jobstrom makes: 7, 7, 7 and 30 days.
type Retention struct {
	Raw        time.Duration `json:"raw_ns"`
	Extracted  time.Duration `json:"extracted_ns"`
	Embedded   time.Duration `json:"embedded_ns"`
	Classified time.Duration `json:"classified_ns"`
}

const day = 24 * time.Hour

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// EnsureDefaults fills what is zero.
func (d *Demand) EnsureDefaults() {
	orElse(&d.Peak, 3)
	orElse(&d.CatchUp, 4*time.Hour)
	orElse(&d.Utilisation, .7)
	orElse(&d.Growth, 4)
	orElse(&d.Processors, 4)
	orElse(&d.ServerProcessors, 8)
	orElse(&d.ServerDisk, 4e12)
	orElse(&d.ServerMemory, 64e9)
	orElse(&d.Replication, 3)
	orElse(&d.Replicas, 1)
	orElse(&d.Keep, 365*day)
	orElse(&d.Topics.Raw, 7*day)
	orElse(&d.Topics.Extracted, 7*day)
	orElse(&d.Topics.Embedded, 7*day)
	orElse(&d.Topics.Classified, 30*day)
	orElse(&d.Encoders, 1)
}

// Validate reports every violation at once.
func (d Demand) Validate() error {
	var errs []error
	check := func(ok bool, format string, values ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, values...))
		}
	}
	check(d.PerDay > 0 && d.PerDay <= 1e12, "vacancies-per-day (%g) must be above 0 and at most 1e12", d.PerDay)
	check(d.Peak >= 1 && d.Peak <= 1000, "peak (%g) must be 1 to 1000: the busiest hour over the average one", d.Peak)
	check(d.Outage >= 0 && d.Outage <= 7*day, "outage (%s) must be 0s to 168h", d.Outage)
	check(d.CatchUp > 0, "catch-up (%s) must be above 0s", d.CatchUp)
	check(d.Utilisation > 0 && d.Utilisation <= 1, "utilisation (%g) must be above 0 and at most 1", d.Utilisation)
	check(d.Growth >= 1 && d.Growth <= 1000, "growth (%g) must be 1 to 1000", d.Growth)
	check(d.Processors >= 1 && d.Processors <= 1024, "processors (%d) must be 1 to 1024", d.Processors)
	check(d.ServerProcessors >= 1 && d.ServerProcessors <= 1024, "server-processors (%d) must be 1 to 1024", d.ServerProcessors)
	check(d.ServerDisk >= 1e9, "server-disk (%g) must be at least 1 GB", d.ServerDisk)
	check(d.ServerMemory >= 1e9, "server-memory (%g) must be at least 1 GB", d.ServerMemory)
	check(d.Replication >= 1 && d.Replication <= 32, "replication (%d) must be 1 to 32", d.Replication)
	check(d.Replicas >= 1 && d.Replicas <= 32, "replicas (%d) must be 1 to 32", d.Replicas)
	check(d.Keep >= time.Hour, "retention (%s) must be at least 1h", d.Keep)
	check(d.Encoders >= 1 && d.Encoders <= 16, "encoders (%d) must be 1 to 16", d.Encoders)
	for _, t := range []time.Duration{d.Topics.Raw, d.Topics.Extracted, d.Topics.Embedded, d.Topics.Classified} {
		check(t >= time.Hour, "a topic's retention (%s) must be at least 1h", t)
		check(d.Outage < t, "outage (%s) must be shorter than each topic's retention (%s), or Kafka deletes what nobody has read", d.Outage, t)
	}
	return errors.Join(errs...)
}
