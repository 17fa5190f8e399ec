// Package performance says how good predictions are: before their labels come, as the probabilities promise (estimate.go), and
// afterwards (labelled.go).
//
// It reads nothing: rows come in, figures go out.
package performance
