// Package telemetry sets up OpenTelemetry's traces: who makes spans, which traces are kept, how they travel in the headers of a record, and how they leave the process.
package telemetry

//go:generate go run ./generate
