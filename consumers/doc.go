// Package consumers is what reads from Kafka: the exactly-once stage runner, the three stages on it, the ClickHouse sink and follow.
//
// A stage consumes, transforms, produces and commits its offsets in one Kafka transaction; what it cannot process goes to the dead-letter topic in the same
// transaction, alone. The package promises that every record read is answered exactly once, by the topic after it or as a dead letter,
// in the order of its partition. The sink commits after ClickHouse has the rows; a replay changes no answer there.
package consumers
