// Package warehouse keeps in ClickHouse what drift statistics and retraining need: embeddings, predictions, labels, dead
// letters and training runs. No personal data and no text of a vacancy is among it.
//
// Rows are written to tables named *_rows and read from the views without the suffix. A row is known by the coordinates
// (topic id, partition, offset) of the record it was made from, and each view holds a row once however often it was
// inserted: the package promises that a replay changes no view's answer.
//
// Which hours of published vacancies were touched by rows, labels and erasures is remembered, so that drift computes its hourly counts again.
//
// The schema is made of numbered files, applied once each and in order by Migrate, and never changed afterwards.
package warehouse
