// Package api is what machines ask over HTTP: classify, publish, feedback, similar vacancies, models, drift and events, described by OpenAPI 3.1.
//
// It promises the reference system's contract on / , /classify and /batch_classify, errors in the form of RFC 9457 everywhere, and that a request is answered by the same
// functions as a record of the stream. What it needs of Kafka and ClickHouse are the Sources, which may be absent; the web pages ask the same Service.
package api
