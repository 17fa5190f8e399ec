// Package trainer makes classifiers: it reads and splits labelled history, fits a multinomial logistic regression in several settings, takes the best,
// calibrates it and says how good it is on vacancies that were not trained on.
//
// Run (run.go) does all of it, in this order:
//
//   - it reads the history (history.go), whose vectors lie in a file where memory does not hold them (vectors.go),
//   - divides it (split.go), or as an earlier training did (parts.go),
//   - tries settings (setting.go, from a grid: grid.go) beside each other (sweep.go, trial.go) and goes on from a journal (journal.go),
//   - and evaluates the best: evaluate.go, calibrate.go, reliability.go, bootstrap.go, mistakes.go, slice.go; judge.go holds out the rest in turn.
//
// A fit (fit.go) runs its heavy products in ONNX Runtime (kernel.go), in blocks that are added up in an order that does not depend on the cores: the same
// examples, options and seed give the same classifier, byte for byte, on machines with the same kind of processor. L-BFGS (lbfgs.go) knows how the loss
// is curved from a sample (curvature.go) and so takes tens of passes over the examples; AdamW (adamw.go) walks over mini-batches of a stream.
//
// CrossValidate (crossvalidate.go) fits without each of several folds; LeaveOneOut (leaveoneout.go) says what each example would be predicted
// as without it, from one fit and the whole Hessian (hessian.go), which is inverted in place in tiles (tiles.go), and corrects the
// examples for which that is not enough (correct.go).
//
// Beside that stand a classifier's smaller variants (compress.go), the comparison with the champion (mcnemar.go, gate.go), its card (card.go), and the
// classifier that comes with the binary (default.go).
//
// No employer is on both sides of a split when groups are given. The package reads no database and
// publishes nothing: examples come in, a sealed classifier and its evaluation go out.
package trainer
