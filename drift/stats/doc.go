// Package stats compares two windows, a reference and a current one, by the statistics and tests that the field uses for drift: categories (Table), numbers
// (Sample, Numbers) and embeddings (Matrix). It is pure: it reads nothing, keeps nothing, and every random choice follows from a seed that the caller gives.
//
// Every figure is that of SciPy, and where Evidently has a rule of its own, that of Evidently 0.7.21, to 1e-6: the parity tests compare with goldens which
// testdata/make_goldens.py writes. The package promises that no figure is NaN: windows that cannot be compared are refused by an error when they are put
// together, and the errors are those of errors.go. Values that are missing (NaN and the infinities, as in Evidently) are dropped and counted.
package stats
