// Package server is the HTTP side: the API, the Danish web page, metrics and health.
//
// It promises that a request is answered by the same functions as a record of the stream, that callers' vacancies are joined in batches, and that
// every error is JSON {"error","status-code"} that says what to do; it logs neither content nor query strings.
package server
