// Package kafka is what both sides of Kafka share: client options, topics, the headers of a record, dead letters and tombstones.
//
// It promises that a record's raw coordinates (topic id, partition, offset, time) pass unchanged from stage to stage, and that an unreachable or
// misnamed broker gives an error that says what to do.
package kafka
