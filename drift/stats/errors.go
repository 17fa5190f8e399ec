package stats

import "errors"

var (
	// ErrEmpty says that a window has no value: no row, or none that is not missing.
	ErrEmpty = errors.New("a window without a value cannot be compared")
	// ErrTooFew says that a window has fewer values than the statistic needs; the message names both numbers.
	ErrTooFew = errors.New("too few values")
	// ErrConstant says that the statistic has no scale, since the values are all the same or nearly so.
	ErrConstant = errors.New("the values do not differ")
	// ErrExtreme says that a number is too large to be squared.
	ErrExtreme = errors.New("numbers must lie within ±1e150")
	// ErrShape says that two windows do not match: other numbers of categories, other widths of embeddings.
	ErrShape = errors.New("the windows have different shapes")
	// ErrCount says that a count is negative, NaN or infinite, or not whole where a test is of whole numbers.
	ErrCount = errors.New("counts must be finite and not negative")
)
