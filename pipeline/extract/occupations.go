package extract

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"jobstrom/schemas"
)

// titles is the lexicon of job titles.
type titles struct {
	single map[string]bool     // titles of one word
	first  map[string][]string // titles of several words, by their first word
}

func newTitles(t *schemas.Taxonomy) *titles {
	lex := &titles{single: map[string]bool{}, first: map[string][]string{}}
	for _, category := range t.Categories {
		for _, title := range category.Titles {
			title = strings.ToLower(strings.Join(strings.Fields(title), " "))
			head, _, several := strings.Cut(title, " ")
			switch {
			case title == "":
			case several:
				lex.first[head] = append(lex.first[head], title)
			default:
				lex.single[title] = true
			}
		}
	}
	for _, list := range lex.first { // the longest first
		slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	}
	return lex
}

// inflections end a Danish noun; the empty one comes first.
var inflections = []string{"", "s", "en", "et", "n", "er", "e", "r", "ne", "erne", "ens", "ers", "ere", "erere", "ende"}

// shortestPart is the least number of bytes of a title as part of a compound; shorter ones end too many other words.
const shortestPart = 4

// singular returns the form in which a word is a title, or ends with one as a compound does.
func (t *titles) singular(word string) (string, bool) {
	for _, ending := range inflections {
		if base, ok := strings.CutSuffix(word, ending); ok && t.single[base] {
			return base, true
		}
	}
	for _, ending := range inflections[:10] {
		base, ok := strings.CutSuffix(word, ending)
		if !ok {
			continue
		}
		for i := range base {
			if i >= 3 && len(base)-i >= shortestPart && t.single[base[i:]] {
				return base, true
			}
		}
	}
	return "", false
}

// announcers stand before an occupation that is looked for.
const announcers = " søger søges som uddannet uddannede erfaren faglært bliver stilling stillingen mangler "

// scored is an occupation with how much speaks for it.
type scored struct {
	title string
	score int
}

// find adds the occupations of a text to found. Those next to a cut name are somebody's, not the vacancy's.
func (t *titles) find(found []scored, text string, weight int) []scored {
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",.;:!?()\"»«/", r) })
	for i := 0; i < len(words); i++ {
		word := strings.ToLower(words[i])
		if len(word) < 3 || len(word) > 60 {
			continue
		}
		title, used := "", 1
		for _, phrase := range t.first[word] {
			n := strings.Count(phrase, " ") + 1
			if i+n <= len(words) && strings.ToLower(strings.Join(words[i:i+n], " ")) == phrase {
				title, used = phrase, n
				break
			}
		}
		if title == "" {
			base, ok := t.singular(word)
			if !ok {
				continue
			}
			title = base
		}
		if isMarked(words, i-1) || isMarked(words, i+used) {
			continue
		}
		score := weight
		for back := 1; back <= 3 && i-back >= 0; back++ {
			if strings.Contains(announcers, " "+strings.ToLower(words[i-back])+" ") {
				score += 2
				break
			}
		}
		if at := slices.IndexFunc(found, func(s scored) bool { return s.title == title }); at >= 0 {
			found[at].score += score
		} else {
			found = append(found, scored{title, score})
		}
		i += used - 1
	}
	return found
}

func isMarked(words []string, i int) bool {
	return i >= 0 && i < len(words) && strings.ContainsRune(words[i], nameMark)
}

// maxOccupations is how many occupations an extraction holds.
const maxOccupations = 5

// occupations are those of the title, then those of the text that something speaks for, the most telling first.
func (t *titles) occupations(title string, segments []segment) []string {
	found := t.find(nil, title, 10)
	named := len(found) > 0
	for i, s := range segments {
		if s.section == terms || s.section == firm || s.noise {
			continue
		}
		weight := 0
		if i < 3 && !named { // the title says nothing: then the beginning must
			weight = 1
		}
		found = t.find(found, s.text, weight)
	}
	slices.SortStableFunc(found, func(a, b scored) int { return b.score - a.score })
	var out []string
	for _, s := range found {
		if s.score > 0 && len(out) < maxOccupations {
			out = append(out, s.title)
		}
	}
	return out
}

// cleanTitle takes hours, places and "søges" off a job title; what informs, such as "til vuggestue", stays.
func cleanTitle(title string) string {
	title = unmark(strings.Join(strings.Fields(title), " "))
	for _, mark := range []string{"(m/k)", "(M/K)", "m/k", "M/K", "(f/m/x)", "(m/f/d)"} {
		title = strings.ReplaceAll(title, mark, "")
	}
	var parts []string
	for part := range strings.SplitSeq(title, ",") {
		part = strings.TrimSpace(part)
		if part == "" || isHours(part) {
			continue
		}
		parts = append(parts, part)
	}
	title = strings.Join(parts, ", ")
	if before, rest, ok := strings.Cut(title, " søges"); ok {
		if title = before; len(rest) > 1 && rest[0] == ' ' && !strings.Contains(rest, "snarest") {
			title += rest
		}
	}
	title = strings.TrimPrefix(title, "Vi søger ")
	return strings.Trim(title, " ,-–|:.")
}

// isHours tells whether a part of a title only says how much or where one works: "30 timer", "deltid", "Fyn".
func isHours(part string) bool {
	lower := strings.ToLower(part)
	for _, word := range []string{"timer", "deltid", "fuldtid", "fuld tid", "vikariat", "barselsvikariat", "tidsbegrænset", "fast stilling"} {
		if strings.Contains(lower, word) && utf8.RuneCountInString(part) < 30 {
			return true
		}
	}
	return false
}
