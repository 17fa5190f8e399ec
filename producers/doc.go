// Package producers is what writes to Kafka: vacancies from files, folders and stdin (JSONL, CSV, Parquet, text), their labels, dead letters that are replayed, and the tombstones of erased vacancies.
//
// A bad line is reported with file, line, column and reason, never with what stands there, and the rest goes on. Of a file with columns only those are published
// that are a vacancy's own or on the list of attributes. The package promises that what Publish counted as
// published was acknowledged by Kafka, and that Replay sends a dead letter exactly once.
package producers
