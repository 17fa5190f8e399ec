// Package trainer makes classifiers: it splits labelled history, fits a multinomial logistic regression,
// calibrates it and says how good it is on vacancies that were not trained on.
//
// The heavy products run in ONNX Runtime (kernel.go), in blocks that are added up in an order that does not
// depend on the cores: the same examples, options and seed give the same classifier, byte for byte, on
// machines with the same kind of processor. L-BFGS (lbfgs.go) knows how the loss is curved from a sample
// (curvature.go) and so takes tens of passes over the examples; AdamW (adamw.go) can stream them.
//
// CrossValidate (crossvalidate.go) fits without each of several folds; LeaveOneOut (leaveoneout.go) says what each example would be predicted
// as without it, from one fit and the whole Hessian (hessian.go), which is inverted in place in tiles (tiles.go), and corrects the
// examples for which that is not enough (correct.go).
//
// No employer is on both sides of a split when groups are given. The package reads no database and
// publishes nothing: examples come in, a sealed classifier and its evaluation go out.
package trainer
