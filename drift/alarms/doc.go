// Package alarms says whether two windows differ by more than chance, and by how much.
//
// A window is rows in blocks. A block is what came in one burst and is therefore not independent: an employer's vacancies
// of a day, or a vacancy that is published again. What chance does is found by drawing whole blocks of both windows anew
// (pool.go, resample.go), so that the threshold is that of the windows' own sizes, categories and bursts:
//
//   - Categorical compares categories by the fourth-power norm of deviance residuals (categories.go, categorical.go),
//   - Numeric compares numbers by Kolmogorov and Smirnov's distance (numbers.go, numeric.go),
//   - Embedding compares vectors by the distance of their means (vectors.go, embedding.go),
//   - Judge corrects for the number of columns, by Benjamini and Hochberg, and gives the verdicts (judge.go).
//
// DescribeCategorical, DescribeNumeric and DescribeEmbedding give all but p, for those who judge by another rule.
//
// An effect size stands beside each verdict: significant says that windows differ, not that it matters. What cannot be
// judged, such as an empty window, has a reason in place of a verdict. Where all rows of both windows hold the same, nothing drifted and nothing is tested. The same rows and seed give the same result.
//
// The package reads nothing: rows come in, results go out.
package alarms
