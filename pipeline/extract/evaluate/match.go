package evaluate

// match pairs as many of a annotated with f found items as fit, each with one at most, beginning with the pairs that there are: pair[i] is the found item of
// annotated item i, or -1. It is the method of augmenting paths (Kuhn 1955).
func match(pair []int, found int, fits func(i, j int) bool) []int {
	near := make([][]int, len(pair))
	for i := range pair {
		for j := range found {
			if fits(i, j) {
				near[i] = append(near[i], j)
			}
		}
	}
	owner := make([]int, found)
	for j := range owner {
		owner[j] = -1
	}
	for i, j := range pair {
		if j >= 0 {
			owner[j] = i
		}
	}
	var visited []bool
	var augment func(i int) bool
	augment = func(i int) bool {
		for _, j := range near[i] {
			if visited[j] {
				continue
			}
			visited[j] = true
			if owner[j] < 0 || augment(owner[j]) {
				owner[j], pair[i] = i, j
				return true
			}
		}
		return false
	}
	for i := range pair {
		if pair[i] < 0 && len(near[i]) > 0 {
			visited = make([]bool, found)
			augment(i)
		}
	}
	return pair
}

// matched counts pairs.
func matched(pair []int) (n int) {
	for _, j := range pair {
		if j >= 0 {
			n++
		}
	}
	return n
}
