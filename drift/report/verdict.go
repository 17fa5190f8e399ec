package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"jobstrom/drift"
	"jobstrom/drift/alarms"
	"jobstrom/drift/stats"
)

// notJudged is the verdict of a column that the preset has no rule for.
const notJudged alarms.Verdict = ""

// order is that of the table: what asks for attention first.
var order = []alarms.Verdict{alarms.Drift, alarms.Possible, alarms.None, alarms.Unknown, notJudged}

// mark returns a sign and a word for a verdict, so that nobody needs to see colours.
func mark(v alarms.Verdict) (sign, word string) {
	switch v {
	case alarms.Drift:
		return "▲", "drift"
	case alarms.Possible:
		return "●", "possible"
	case alarms.None:
		return "○", "none"
	case alarms.Unknown:
		return "?", "unknown"
	}
	return "–", "not judged"
}

// byProbability says whether the column's rule is that of Evidently for a p-value, which is drift below its threshold.
func byProbability(c drift.Column) bool {
	return slices.Contains([]string{"chisquare", "z", "ks"}, c.EffectName)
}

// sorted returns the columns by verdict, then by effect over gate: effects of different kinds are not comparable themselves.
func sorted(columns []drift.Column) []drift.Column {
	ratio := func(c drift.Column) float64 {
		switch {
		case byProbability(c):
			return c.Gate / max(c.Effect, 1e-300)
		case c.Gate == 0:
			return 0
		}
		return c.Effect / c.Gate
	}
	columns = slices.Clone(columns)
	slices.SortStableFunc(columns, func(a, b drift.Column) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Verdict), slices.Index(order, b.Verdict)), cmp.Compare(ratio(b), ratio(a)))
	})
	return columns
}

// summary is the comparison in words and counts.
type summary struct {
	// Verdict is what was found, Advice what to do about it.
	Verdict, Advice string
	Drifted, Judged int
	// Share is what has drifted of the columns that were judged.
	Share float64
	// Kinds counts the columns of each kind, in words.
	Kinds string
}

func summarise(c *drift.Comparison) summary {
	names := map[alarms.Verdict][]string{}
	var s summary
	var judged []stats.Column
	kinds := map[drift.Kind]int{}
	for _, column := range sorted(c.Columns) {
		v := column.Verdict
		names[v] = append(names[v], shown(column.Name))
		if v != alarms.Unknown && v != notJudged {
			judged = append(judged, stats.Column{Drifted: v == alarms.Drift})
		}
		kinds[column.Kind]++
	}
	s.Drifted, s.Judged = len(names[alarms.Drift]), len(judged)
	s.Share = float64(s.Drifted) / float64(max(s.Judged, 1))
	var parts []string
	for _, k := range []drift.Kind{drift.Categorical, drift.Numeric, drift.Embedding} {
		if kinds[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", kinds[k], kind(k)))
		}
	}
	s.Kinds = strings.Join(parts, ", ")
	if c.Preset == drift.Evidently {
		s.evidently(judged, names[alarms.Drift])
	} else {
		s.calibrated(names)
	}
	if n := len(names[alarms.Unknown]); n > 0 && s.Judged > 0 {
		s.Advice += fmt.Sprintf(" %s could not be compared; the table of columns says why.", capital(columns(n)))
	}
	return s
}

// calibrated words what the preset of that name found.
func (s *summary) calibrated(names map[alarms.Verdict][]string) {
	possible := names[alarms.Possible]
	switch {
	case s.Judged == 0:
		s.nothing()
	case s.Drifted > 0:
		s.Verdict = fmt.Sprintf("Drift in %d of %s: %s. The differences are larger than chance makes between two such windows, and at least as large as their gates.", s.Drifted, columns(s.Judged), list(names[alarms.Drift]))
		s.Advice = "Look first at what changed most. Unless you expected it (a season, a new source), label some of the current vacancies, check the classifier's accuracy on them before you rely on it, and retrain where it fell."
	case len(possible) > 0:
		s.Verdict = fmt.Sprintf("No drift, but a possible beginning in %d of %s: %s. Chance does not explain the differences, but they are smaller than their gates.", len(possible), columns(s.Judged), list(possible))
		s.Advice = "There is nothing to mend now. Compare a later window: a difference that grows becomes drift."
	default:
		s.Verdict = fmt.Sprintf("No drift: chance explains the differences of %s.", all(s.Judged))
		s.Advice = "There is nothing to do. Small windows show large shifts only; longer ones show smaller shifts too."
	}
}

// evidently words what the rules of that tool found.
func (s *summary) evidently(judged []stats.Column, drifted []string) {
	if s.Judged == 0 {
		s.nothing()
		return
	}
	_, whole := stats.EvidentlyDataset(judged)
	s.Verdict = fmt.Sprintf("By Evidently's rules no drift in %s.", all(s.Judged))
	if len(drifted) > 0 {
		data := "not yet the data set, for which half of the columns are needed"
		if whole {
			data = "and with at least half of the columns the data set, too"
		}
		s.Verdict = fmt.Sprintf("By Evidently's rules drift in %d of %s (%s): %s; %s.", s.Drifted, columns(s.Judged), percent(s.Share), list(drifted), data)
	}
	s.Advice = "These rules know neither bursts nor how many columns there are, and often find drift in small windows without any: see what the preset calibrated says before you act."
}

func (s *summary) nothing() {
	s.Verdict = "No verdict: no column could be compared."
	s.Advice = "The table of columns says why of each. Longer windows help in most cases."
}

func kind(k drift.Kind) string {
	if k == drift.Embedding {
		return "embedding"
	}
	return string(k)
}

func columns(n int) string {
	if n == 1 {
		return "1 column"
	}
	return fmt.Sprintf("%d columns", n)
}

func all(n int) string {
	if n == 1 {
		return "the one column"
	}
	return "all " + columns(n)
}

// list names the first five.
func list(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
