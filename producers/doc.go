// Package producers is what writes to Kafka: vacancies from files and stdin, their labels, dead letters that are replayed, and the tombstones of erased vacancies.
//
// A bad line is reported with file, line and reason, and the rest goes on. The package promises that what Publish counted as
// published was acknowledged by Kafka, and that Replay sends a dead letter exactly once.
package producers
