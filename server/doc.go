// Package server is the HTTP side: it puts the API, the pages for people, who may what, metrics and health together.
//
// It promises that a request is answered by the same functions as a record of the stream, and that callers' vacancies are joined in batches. Errors say what to do: to a browser
// as a page, to everybody else in the form of RFC 9457. It logs neither content nor query strings.
package server
