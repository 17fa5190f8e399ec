// Package embedded runs the servers that jobstrom needs on one machine: Kafka inside the process, ClickHouse as a child
// process.
//
// Both speak their real protocols on TCP ports of the machine, so that any client can join, and both keep their data in
// a folder of their own that survives a restart. The package promises that nothing it started outlives the process that
// started it, and that a failed start names the port, folder or library at fault and what to do about it.
package embedded
