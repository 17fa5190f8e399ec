package capacity

import (
	"cmp"
	"slices"
)

// Limit is something that a flow outgrows.
type Limit struct {
	Name string `json:"name"`
	// PerDay is how many vacancies a day reach it.
	PerDay float64 `json:"vacancies_per_day"`
	// Share is the demand's of it: above 1 it is passed.
	Share float64 `json:"share"`
	// Remedy says what to do, which the plan has done where Share is above 1 and it can be counted in servers and processes.
	Remedy string `json:"remedy"`
}

const (
	// maxPartitions is the multiple of 12 below the 10,000 that jobstrom makes of a topic at most.
	maxPartitions = 9_996
	// brokerBytes is what a broker is planned to write and read a second: half of a 10 Gbit/s link.
	brokerBytes = 625e6
	// indexShare is how much of a server's memory the index of similar vacancies may take; the rest is for queries and merges.
	indexShare = .5
)

// limits lists what breaks, first what breaks first. Everything in it grows in proportion to the vacancies a day.
func limits(p Plan) []Limit {
	d := p.Demand
	embed := p.Stages[1]
	var all []Limit
	add := func(name string, uses, has float64, remedy string) {
		if uses > 0 {
			all = append(all, Limit{name, d.PerDay * has / uses, uses / has, remedy})
		}
	}
	replicas := float64(d.Replicas)
	add("one process embeds", embed.Processors, float64(d.Processors), "more processes of run embed: they share the partitions by themselves")
	add("one process extracts", p.Stages[0].Processors, float64(d.Processors), "more processes of run extract")
	add("one process classifies", p.Stages[2].Processors, float64(d.Processors), "more processes of run classify")
	add("one sink writes", p.Stages[3].Processors, float64(d.Processors), "more processes of run sink: their rows are idempotent")
	add("disk of one ClickHouse server", p.ClickHouseBytes/replicas, d.ServerDisk, "a shorter --retention, older rows on a larger volume, or shards")
	add("processors of one ClickHouse server", p.ClickHouseProcessors, float64(d.ServerProcessors), "shards")
	add("memory of one ClickHouse server, for the index of similar vacancies", p.SimilarMemory/replicas, indexShare*d.ServerMemory, "a shorter --retention, shards, or no such table: searches then read every vector")
	add("network of one broker", p.KafkaIn*float64(d.Replication)+p.KafkaOut, brokerBytes, "more brokers: partitions spread over them")
	// A partition is worked on by one worker at a time, so processors of a worker bound what 10,000 of them do.
	add("partitions of one flow", embed.Processors/float64(d.Processors)*workersOfAProcess, maxPartitions, "more processors a process, a faster encoder or provider; then a second flow with topics of its own")
	slices.SortStableFunc(all, func(a, b Limit) int { return cmp.Compare(a.PerDay, b.PerDay) })
	return all
}
