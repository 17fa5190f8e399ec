package stats

import "math"

// kolmogorovExact is how many numbers a window may have for the exact distribution, as in SciPy.
const kolmogorovExact = 10_000

// smirnovExact is the exact test of a gap between the distribution functions of n and m different numbers.
//
// Under the hypothesis every order of the numbers is as likely, each a lattice path from (0, 0) to (n, m); P is the share of paths that somewhere touch the lines on
// which the gap is as large (Hodges, The significance probability of the Smirnov two-sample test, 1958).
func smirnovExact(n, m int, gap float64) Test {
	common := gcd(n, m)
	stepN, stepM := m/common, n/common // one number more of the first window, or of the second, in units of 1/lcm
	lcm := n * stepN
	h := int(math.RoundToEven(gap * float64(lcm)))
	t := Test{Statistic: float64(h) / float64(lcm)}
	switch {
	case h == 0:
		t.P = 1
	case n == m:
		t.P = equalSizes(n, h)
	default:
		t.P = min(1, touching(n, m, stepN, stepM, h))
	}
	return t
}

// equalSizes is the share of paths to (n, n) that leave |x−y| < h, by reflection: 2·Σ(−1)^(k−1)·C(2n, n−kh)/C(2n, n).
func equalSizes(n, h int) float64 {
	at, _ := math.Lgamma(float64(n + 1))
	var sum float64
	for k := n / h; k >= 1; k-- { // from the smallest
		up, _ := math.Lgamma(float64(n + k*h + 1))
		down, _ := math.Lgamma(float64(n - k*h + 1))
		sum = math.Exp(2*at-up-down) - sum
	}
	// Each turn subtracts what it has from the next, so that the sum alternates and ends with the largest term, which is positive.
	return min(1, max(0, 2*sum))
}

// touching is the share of paths to (n, m) that touch |x·stepN − y·stepM| ≥ h. The share of those to (i, j) is the mean of the shares to (i−1, j) and (i, j−1),
// weighed by i and j, since the last step of a random path is the one or the other with such odds: a sum of positive terms, exact in its tail, too.
func touching(n, m, stepN, stepM, h int) float64 {
	shares := make([]float64, m+1) // of the column before at y < its end, of this one before the row
	for y := range shares {
		if y*stepM >= h {
			shares[y] = 1
		}
	}
	low, high := 0, min(m, (h-1)/stepM) // the rows of this column that touch nothing
	for x := 1; x <= n; x++ {
		for low <= m && x*stepN-low*stepM >= h {
			shares[low] = 1
			low++
		}
		for high < m && (high+1)*stepM-x*stepN < h {
			high++
			shares[high] = 1 // the column before touched here
		}
		below := 1.
		if low == 0 {
			below = 0 // of weight 0
		}
		fx := float64(x)
		for y := low; y <= high; y++ {
			fy := float64(y)
			below = (fx*shares[y] + fy*below) / (fx + fy)
			shares[y] = below
		}
	}
	return shares[m]
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// kolmogorovSurvival is how likely n random numbers have a distribution function with a gap of at least d to their own: each range by the method that is exact there
// to about ten digits (Simard and L'Ecuyer, Computing the two-sided Kolmogorov–Smirnov distribution, 2011, the source of scipy.stats.kstwo, too).
func kolmogorovSurvival(n, d float64) float64 {
	nd, square := n*d, n*d*d
	tail := 2.2 // from here on, both sides are hardly ever that far off in one draw
	if n <= 140 {
		tail = 4
	}
	switch {
	case d >= 1:
		return 0
	case nd <= .5:
		return 1
	case nd <= 1:
		factorial, _ := math.Lgamma(n + 1)
		return 1 - math.Exp(factorial+n*math.Log((2*nd-1)/n))
	case square >= 370:
		return 0
	case d >= .5 || square >= tail:
		return min(1, 2*smirnovOneSided(n, d))
	case n <= 140 || n <= 100_000 && n*math.Pow(d, 1.5) <= 1.4:
		return max(0, 1-durbinMatrix(int(n), d))
	}
	return min(1, max(0, 1-pelzGood(n, d)))
}

// smirnovOneSided is how likely a distribution function of n random numbers is at least d above its own at some place: Σ C(n,j)·d·(d+j/n)^(j−1)·(1−d−j/n)^(n−j)
// (Birnbaum and Tingey, 1951), each term a binomial probability times d/(d+j/n); beyond a million numbers by Maag and Dicaire's approximation (1971), as SciPy.
func smirnovOneSided(n, d float64) float64 {
	if n > 1e6 {
		x := 6*n*d + 1
		return math.Exp(-x * x / (18 * n))
	}
	var sum float64
	for j := 0.; j <= n*(1-d); j++ {
		p := d + j/n
		sum += d / p * binomialProbability(n, j, p, max(0, 1-p))
	}
	return sum
}

// binomialProbability is C(n,j)·p^j·q^(n−j) without cancelling logarithms (Loader, Fast and accurate computation of binomial probabilities, 2000).
func binomialProbability(n, j, p, q float64) float64 {
	switch {
	case j == 0:
		return math.Exp(n * math.Log1p(-p))
	case j == n:
		return math.Pow(p, n)
	case q == 0:
		return 0
	}
	exponent := stirlingError(n) - stirlingError(j) - stirlingError(n-j) - deviance(j, n*p) - deviance(n-j, n*q)
	return math.Exp(exponent) * math.Sqrt(n/(2*math.Pi*j*(n-j)))
}

// stirlingError is ln n! less Stirling's formula.
func stirlingError(n float64) float64 {
	if n < 16 {
		factorial, _ := math.Lgamma(n + 1)
		return factorial - (n+.5)*math.Log(n) + n - math.Log(2*math.Pi)/2
	}
	s := 1 / (n * n)
	return (1./12 - s*(1./360-s*(1./1260-s*(1./1680-s/1188)))) / n
}

// deviance is x·ln(x/mean) + mean − x, by a series where these nearly cancel.
func deviance(x, mean float64) float64 {
	if math.Abs(x-mean) >= .1*(x+mean) {
		return x*math.Log(x/mean) + mean - x
	}
	v := (x - mean) / (x + mean)
	sum, power := (x-mean)*v, 2*x*v
	for k := 3.; ; k += 2 {
		power *= v * v
		next := sum + power/k
		if next == sum {
			return sum
		}
		sum = next
	}
}

// durbinMatrix is the distribution function as an entry of the n-th power of a matrix (Durbin, 1968; Marsaglia, Tsang and Wang, Evaluating Kolmogorov's distribution,
// 2003).
func durbinMatrix(n int, d float64) float64 {
	nd := float64(n) * d
	k := int(math.Ceil(nd))
	h, size := float64(k)-nd, 2*k-1
	inverse := make([]float64, size+1) // 1/i!
	inverse[0] = 1
	for i := 1; i <= size; i++ {
		inverse[i] = inverse[i-1] / float64(i)
	}
	base := make([]float64, size*size)
	for i := range size {
		for j := 0; j <= min(i+1, size-1); j++ {
			base[i*size+j] = inverse[i-j+1]
		}
	}
	for i := range size { // the first column and, mirrored, the last row
		v := (1 - math.Pow(h, float64(i+1))) * inverse[i+1]
		if i == size-1 {
			v = (1 - 2*math.Pow(h, float64(size)) + math.Pow(max(0, 2*h-1), float64(size))) * inverse[size]
		}
		base[i*size] = v
		base[(size-1)*size+size-1-i] = v
	}
	power := make([]float64, size*size)
	for i := range size {
		power[i*size+i] = 1
	}
	var exponent, baseExponent int
	spare := make([]float64, size*size)
	for left := n; left > 0; left /= 2 {
		if left%2 == 1 {
			multiply(spare, power, base, size)
			power, spare = spare, power
			exponent += baseExponent
		}
		if left == 1 {
			break
		}
		multiply(spare, base, base, size)
		base, spare = spare, base
		baseExponent *= 2
		if _, e := math.Frexp(base[(k-1)*size+k-1]); e > 128 {
			for i := range base {
				base[i] = math.Ldexp(base[i], -e)
			}
			baseExponent += e
		}
	}
	p := power[(k-1)*size+k-1]
	for i := 1; i <= n; i++ { // n!/nⁿ
		p *= float64(i) / float64(n)
		if p < 1e-250 {
			p = math.Ldexp(p, 512)
			exponent -= 512
		}
	}
	return min(1, math.Ldexp(p, exponent))
}

// multiply writes a·b, all of size × size.
func multiply(product, a, b []float64, size int) {
	clear(product)
	for i := range size {
		row := product[i*size : (i+1)*size]
		for k, x := range a[i*size : (i+1)*size] {
			if x == 0 {
				continue
			}
			for j, y := range b[k*size : (k+1)*size] {
				row[j] += x * y
			}
		}
	}
}

// pelzGood is the distribution function for many numbers, four terms in 1/√n (Pelz and Good, Approximating the lower tail-areas of the Kolmogorov–Smirnov one-sample
// statistic, 1976).
func pelzGood(n, d float64) float64 {
	const pi2, pi4, pi6 = math.Pi * math.Pi, math.Pi * math.Pi * math.Pi * math.Pi, math.Pi * math.Pi * math.Pi * math.Pi * math.Pi * math.Pi
	z := math.Sqrt(n) * d
	z2 := z * z
	z4, z6 := z2*z2, z2*z2*z2
	var k0, k1, k2, k3, k2Even, k3Even float64
	for k := math.Ceil(16 * z / math.Pi); k >= 1; k-- {
		m2 := (2*k - 1) * (2*k - 1)
		odd, even := math.Exp(-pi2*m2/(8*z2)), math.Exp(-pi2*k*k/(2*z2))
		k0 += odd
		k1 += (pi2*m2/4 - z2) * odd
		k2 += (6*z6 + 2*z4 + (2*z4-5*z2)*pi2*m2/4 + (1-2*z2)*pi4*m2*m2/16) * odd
		k3 += (pi6*m2*m2*m2*(5-30*z2)/64 + pi4*m2*m2*(212*z4-60*z2)/16 + pi2*m2*(135*z4-96*z6)/4 - 30*z6 - 90*z4*z4) * odd
		k2Even += k * k * even
		k3Even += (3*z2 - pi2*k*k) * k * k * even
	}
	return math.Sqrt(2*math.Pi) * (k0/z + k1/(6*z4)/math.Sqrt(n) + (k2/(72*z6*z)-pi2*k2Even/(36*z2*z))/n + (k3/(6480*z6*z4)+pi2*k3Even/(216*z6))/(n*math.Sqrt(n)))
}
