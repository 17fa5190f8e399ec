// Package producers is what writes to Kafka: vacancies from files and stdin, and their labels.
//
// A bad line is reported with file, line and reason, and the rest goes on. The package promises that what Publish counted as
// published was acknowledged by Kafka.
package producers
