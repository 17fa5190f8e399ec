// Package watch compares a sliding window with its reference again and again, and tells of what drifts: once.
//
// An alarm belongs to a column. It is raised when the column's verdict has been drift for a while and cleared when it has been none for longer, so that one shift is one
// alarm. ClickHouse's drift_events holds what was raised, cleared and done; what a watch knows it reads from there, so a restart forgets no alarm and
// raises none twice. Each event then goes to the topic drift.events and to the webhook, at least once, with an id that tells repetitions.
package watch
