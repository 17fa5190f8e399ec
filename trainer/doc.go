// Package trainer makes classifiers: it splits labelled history, fits a multinomial logistic regression,
// calibrates it and says how good it is on vacancies that were not trained on.
//
// The same examples, options and seed give the same classifier, byte for byte, whatever the number of
// cores. No employer is on both sides of a split when groups are given. The package reads no database and
// publishes nothing: examples come in, a sealed classifier and its evaluation go out.
package trainer
