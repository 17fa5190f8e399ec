package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Domain is how well a classifier tells the windows apart.
type Domain struct {
	// AUC is the area under the ROC curve on the half of the rows that it has not seen: 0.5 when it cannot, 1 when it always can.
	AUC float64
	// Random is the 95th percentile of the areas of 100 random scorings of the same rows.
	Random float64
}

// Randoms and their percentile are those of Evidently's ModelDriftMethod.
const (
	randomScorings = 100
	randomQuantile = .95
)

// Domain trains a logistic classifier on a random half of the rows and scores the other half (Evidently's ModelDriftMethod). Which half, and the order of training, follow
// from the seed; Evidently's generator is another, so that the area equals its within its spread over seeds. It returns ErrTooFew when a half lacks a window.
func (e Embeddings) Domain(seed uint64) (Domain, error) {
	random := rand.New(rand.NewPCG(seed, 0x617563))
	n, m := e.reference.Rows, e.current.Rows
	order := random.Perm(n + m)
	test := order[:(n+m+1)/2] // the larger half, as scikit-learn's train_test_split
	train := order[len(test):]
	for _, half := range [][]int{train, test} {
		references := 0
		for _, i := range half {
			if i < n {
				references++
			}
		}
		if references == 0 || references == len(half) {
			return Domain{}, fmt.Errorf("telling %d reference from %d current embeddings, half of which are to test and lack a window: %w", n, m, ErrTooFew)
		}
	}
	row := func(i int) []float32 {
		if i < n {
			return e.reference.row(i)
		}
		return e.current.row(i - n)
	}
	model := trainLogistic(train, row, n, e.reference.Columns, random)
	scores, positive := make([]float64, len(test)), make([]bool, len(test))
	for k, i := range test {
		scores[k], positive[k] = model.score(row(i)), i < n
	}
	var d Domain
	var err error
	if d.AUC, err = AUC(scores, positive); err != nil {
		return Domain{}, err
	}
	areas := make([]float64, randomScorings)
	for a := range areas {
		for k := range scores {
			scores[k] = random.Float64()
		}
		if areas[a], err = AUC(scores, positive); err != nil {
			return Domain{}, err
		}
	}
	slices.Sort(areas)
	place := randomQuantile * float64(len(areas)-1) // between two, in proportion, as numpy.percentile
	below := int(place)
	d.Random = areas[below] + (place-float64(below))*(areas[below+1]-areas[below])
	return d, nil
}

// AUC is the area under the ROC curve: how often a positive has the higher score than a negative, half of the equal ones counted (scikit-learn's roc_auc_score). It
// returns ErrShape when the lengths differ, ErrCount for a NaN, ErrTooFew when all are positive or none is.
func AUC(scores []float64, positive []bool) (float64, error) {
	if len(scores) != len(positive) {
		return 0, fmt.Errorf("ranking %d scores of %d rows: %w", len(scores), len(positive), ErrShape)
	}
	order := ascending(scores)
	var positives, negatives, wins float64
	for i := 0; i < len(order); {
		if math.IsNaN(scores[order[i]]) {
			return 0, fmt.Errorf("ranking a score that is NaN: %w", ErrCount)
		}
		var up, down float64 // of one score
		for first := scores[order[i]]; i < len(order) && scores[order[i]] == first; i++ {
			if positive[order[i]] {
				up++
			} else {
				down++
			}
		}
		wins += up * (negatives + down/2)
		positives, negatives = positives+up, negatives+down
	}
	if positives == 0 || negatives == 0 {
		return 0, fmt.Errorf("ranking %v positive and %v negative rows: %w", positives, negatives, ErrTooFew)
	}
	return wins / (positives * negatives), nil
}

// logistic scores rows by the log-odds of the reference.
type logistic struct {
	weights   []float64
	scale     float64 // of the weights
	intercept float64
}

func (l logistic) score(row []float32) float64 {
	var dot float64
	for c, v := range row {
		dot += l.weights[c] * float64(v)
	}
	return l.scale*dot + l.intercept
}

// Those of scikit-learn's SGDClassifier, which Evidently takes with its defaults.
const (
	sgdPenalty  = 1e-4
	sgdStart    = 1000 // 1/(η₀·α) with Bottou's η₀ = √(1/√α) = 10
	sgdTurns    = 1000
	sgdPatience = 5
	sgdGain     = 1e-3
)

// trainLogistic fits a logistic model with an L2 penalty by stochastic gradient descent with the step 1/(α·(t₀+t)) (Bottou; scikit-learn's SGDClassifier, learning rate
// "optimal"), until the mean objective has not sunk by 0.001 for five turns. Rows before n are the reference.
func trainLogistic(train []int, row func(int) []float32, n, columns int, random *rand.Rand) logistic {
	l := logistic{weights: make([]float64, columns), scale: 1}
	var squares float64 // the sum of squared weights, scaled
	best, without, t := math.Inf(1), 0, 0.
	for turn := 0; turn < sgdTurns && without < sgdPatience; turn++ {
		random.Shuffle(len(train), func(i, j int) { train[i], train[j] = train[j], train[i] })
		var objective float64
		for _, i := range train {
			x, y := row(i), -1.
			if i < n {
				y = 1
			}
			p := l.score(x)
			margin := y * p
			objective += softplus(-margin) + sgdPenalty*squares/2
			step := 1 / (sgdPenalty * (sgdStart + t))
			t++
			update := step * y / (1 + math.Exp(margin))
			decay := max(0, 1-step*sgdPenalty)
			if l.scale *= decay; l.scale < 1e-9 {
				for c := range l.weights {
					l.weights[c] *= l.scale
				}
				l.scale = 1
			}
			var norm float64
			for c, v := range x {
				norm += float64(v) * float64(v)
				l.weights[c] += update / l.scale * float64(v)
			}
			squares = max(0, decay*decay*squares+2*update*decay*(p-l.intercept)+update*update*norm)
			l.intercept += update
		}
		objective /= float64(len(train))
		if objective > best-sgdGain {
			without++
		} else {
			without = 0
		}
		best = min(best, objective)
	}
	return l
}

// softplus is ln(1 + eˣ).
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }
