package classify

// vectorsAtOnce bounds the work space, so that it stays small and in the processor's cache.
const vectorsAtOnce = 64

// space is what a classifier writes on while it works. It serves one call at a time and grows to what the calls need;
// what is in it means nothing to the next one.
type space struct {
	// products, scores and highest are those of Classifier.classify and Classifier.score.
	products, scores, highest []float64

	side    []float32 // vectors, one after another
	x       []float32 // a block of them, side by side
	block   []float32 // their products
	rounded []int16   // vectors in steps of their scales
	row     []int16   // a row of bytes
	sums    []int32   // products of bytes
	scales  []float32 // of the vectors
}

// sized returns n elements of a part of the work space. They are not cleared.
func sized[T any](part *[]T, n int) []T {
	if cap(*part) < n {
		*part = make([]T, n)
	}
	return (*part)[:n]
}
