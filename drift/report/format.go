package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"jobstrom/drift"
	"jobstrom/drift/alarms"
)

// longest bounds how much of a value or name is shown, in characters.
const longest = 60

// clean takes out what a terminal obeys or what turns a line around. Values come from whoever publishes vacancies.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// shown returns a value as a reader sees it: one line, cut where it is long, and visible where it is empty.
func shown(s string) string {
	s = clean(s)
	if strings.TrimSpace(s) == "" {
		return "(empty)"
	}
	return cut(s, longest)
}

// cut returns the first n characters, the last of which says that there are more.
func cut(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

// percent says of a share that is too small for its one decimal that it is there.
func percent(share float64) string {
	if share > 0 && share < .0005 {
		return "< 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// points is a difference of shares in percentage points.
func points(difference float64) string { return signed(100 * difference) }

func signed(v float64) string { return plusMinus(fmt.Sprintf("%+.1f", v)) }

// shift writes a difference of means.
func shift(v float64) string { return plusMinus(fmt.Sprintf("%+.2f", v)) }

// plusMinus makes the sign of a decimal one that is as wide as a digit, and takes it from 0.
func plusMinus(text string) string {
	if strings.Trim(text, "+-0.") == "" {
		return text[1:]
	}
	return strings.Replace(text, "-", "−", 1)
}

// number writes three or four digits, without an exponent where that is legible.
func number(v float64) string {
	text := ""
	switch size := math.Abs(v); {
	case size == 0:
		return "0"
	case size < 1e-3 || size >= 1e7:
		text = fmt.Sprintf("%.2g", v)
	case size >= 1000:
		text = fmt.Sprintf("%.0f", v)
	case size >= 10:
		text = fmt.Sprintf("%.4g", v)
	default:
		text = fmt.Sprintf("%.3f", v)
	}
	if strings.HasPrefix(text, "-") {
		return "−" + text[1:]
	}
	return text
}

// probability writes a p-value.
func probability(p float64) string {
	if p < 1e-4 {
		return "< 0.0001"
	}
	return strconv.FormatFloat(p, 'g', 2, 64)
}

// cells are a column's effect and gate, p and q as a table shows them; "–" where there is none.
type cells struct{ Effect, EffectName, Gate, P, Q string }

func cellsOf(c drift.Column, preset string) cells {
	if c.Verdict == alarms.Unknown {
		return cells{"–", "", "–", "–", "–"}
	}
	if byProbability(c) {
		return cells{probability(c.Effect), "p of " + test(c.EffectName), "< " + gate(c.Gate), probability(c.P), "–"}
	}
	all := cells{number(c.Effect), test(c.EffectName), "≥ " + gate(c.Gate), probability(c.P), probability(c.Q)}
	switch {
	case c.Verdict == notJudged:
		all.Q = "–"
	case preset == drift.Evidently: // its distances have none
		all.P, all.Q = "–", "–"
	}
	return all
}

func gate(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// test writes Evidently's names of tests as others write them.
func test(name string) string {
	switch name {
	case "chisquare":
		return "χ²"
	case "z":
		return "the z test"
	case "ks":
		return "Kolmogorov–Smirnov"
	case "jensenshannon":
		return "Jensen–Shannon distance"
	case "wasserstein":
		return "normed Wasserstein distance"
	}
	return name
}
