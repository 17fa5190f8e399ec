// Package schemas holds what crosses a boundary: the messages, their encodings, and the categories.
//
// Messages are defined in jobstrom.proto. People's topics (raw, classified, labels, dead letters) carry JSON, inner ones
// Protobuf; the content-type header says which, and Decode accepts both. The categories are data (categories.json): another taxonomy is
// another file. The package promises that a decoded message is valid, and that an error names the field and never quotes content.
package schemas

//go:generate go run ./generate
