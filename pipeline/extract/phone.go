package extract

import (
	"strings"
	"unicode/utf8"
)

// group is a run of digits and what stands between it and the next one.
type group struct {
	start, end int
	gap        string
}

// findNumbers finds CPR numbers and phone numbers: both are groups of digits with single separators between.
func findNumbers(spans []Span, text string) []Span {
	have := len(spans)
	for i := 0; i < len(text); {
		if !isDigit(text[i]) {
			i++
			continue
		}
		if sp, taken := overlapping(spans[:have], i, i+1); taken {
			i = sp.End
			continue
		}
		groups := digitGroups(text, i)
		end := groups[len(groups)-1].end
		for at := 0; at < len(groups); {
			if n := cprAt(text, groups[at:]); n > 0 {
				spans = append(spans, Span{CPR, groups[at].start, groups[at+n-1].end})
				at += n
			} else if start, n := phoneAt(text, groups, at); n > 0 {
				spans = append(spans, Span{Phone, start, groups[at+n-1].end})
				at += n
			} else {
				at++
			}
		}
		i = end
	}
	return spans
}

// digitGroups reads groups of digits from i on, as long as at most three spaces, dashes, dots, slashes or brackets part them.
func digitGroups(text string, i int) []group {
	var groups []group
	for {
		g := group{start: i, end: i}
		for g.end < len(text) && isDigit(text[g.end]) {
			g.end++
		}
		next := g.end
		for n := 0; n < 4 && next < len(text); n++ {
			r, size := utf8.DecodeRuneInString(text[next:])
			if !isSpace(r) && !isDash(r) && !isInvisible(r) && r != '.' && r != ')' && r != '/' {
				break
			}
			next += size
		}
		if next == g.end || next >= len(text) || !isDigit(text[next]) {
			return append(groups, g)
		}
		g.gap = text[g.end:next]
		groups = append(groups, g)
		i = next
	}
}

// cprAt returns how many groups, one or two, make a CPR number at the start of groups.
func cprAt(text string, groups []group) int {
	first := groups[0]
	switch first.end - first.start {
	case 10:
		if cprDate([]byte(text[first.start:first.end])) && !labelled(text, first.start, otherNumbers) {
			return 1
		}
	case 6:
		if len(groups) < 2 || groups[1].end-groups[1].start != 4 {
			return 0
		}
		for _, r := range first.gap {
			if !isSpace(r) && !isDash(r) && !isInvisible(r) {
				return 0
			}
		}
		if cprDate([]byte(text[first.start:first.end] + text[groups[1].start:groups[1].end])) {
			return 2
		}
	}
	return 0
}

// Words before a number that say it is no phone number, and those that say it is one; "*" stands for any ending.
const (
	otherNumbers = `cvr* p-n* p.n* se-n* ean* gln* vare varen* ordre* id *-id sag sagsn* journal* j.nr* ref refn* referencen* konto konton* reg stillingsn* jobn* job-n*
		løben* faktura* isbn* lov licens* matrikel* produktn* serien* kundenr* kundenum* medlemsn* kontraktn* annoncen* postboks*`
	phoneWords = `tlf* telefon* mobil* ring ringe ringer sms phone tel opkald hovednummer* direkte kontakt* +45`
)

// labelled tells whether one of the words stands among the last three before a number, in its clause.
func labelled(text string, at int, words string) bool {
	from := max(0, at-40)
	for from < at && !utf8.RuneStart(text[from]) {
		from++
	}
	label := text[from:at]
	if end := strings.LastIndexAny(label, "\n;,"); end >= 0 {
		label = label[end+1:]
	}
	fields := strings.Fields(strings.ToLower(label))
	for _, field := range fields[max(0, len(fields)-3):] {
		field = strings.Trim(field, ".:#()/")
		for w := range strings.FieldsSeq(words) {
			switch {
			case w[0] == '*':
				if strings.HasSuffix(field, w[1:]) {
					return true
				}
			case w[len(w)-1] == '*':
				if strings.HasPrefix(field, w[:len(w)-1]) {
					return true
				}
			case w == field:
				return true
			}
		}
	}
	return false
}

// separator sorts what stands between two groups of a phone number; 0 is no separator of one.
func separator(gap string) byte {
	var kind byte
	for _, r := range gap {
		switch {
		case isInvisible(r):
		case isSpace(r):
			if kind == 0 {
				kind = ' '
			}
		case isDash(r):
			if kind == '.' {
				return 0
			}
			kind = '-'
		case r == '.':
			if kind == '-' {
				return 0
			}
			kind = '.'
		default:
			return 0
		}
	}
	if kind == 0 && gap != "" {
		kind = ' '
	}
	return kind
}

// phoneAt returns where a phone number that begins at groups[at] starts, its country code included, and how many groups it has.
func phoneAt(text string, groups []group, at int) (start, n int) {
	if start, n := internationalAt(text, groups, at); n > 0 {
		return start, n
	}
	g := groups[at]
	if at > 0 {
		if sep := separator(groups[at-1].gap); sep == '-' || sep == '.' {
			return 0, 0 // the middle of something longer
		}
	}
	if g.start >= 2 && (text[g.start-1] == ',' || text[g.start-1] == ':') && isDigit(text[g.start-2]) {
		return 0, 0
	}
	if isWord(before(text, g.start)) || text[g.start] < '2' {
		return 0, 0
	}
	n = danish(text, groups[at:])
	if n == 0 {
		return 0, 0
	}
	groups = groups[at : at+n]
	end := groups[n-1].end
	called := labelled(text, g.start, phoneWords)
	if !called && (labelled(text, g.start, otherNumbers) || looksLikeDate(text, groups) || isAmount(text, g.start, end)) {
		return 0, 0
	}
	if isWord(after(text, end)) {
		return 0, 0
	}
	return g.start, n
}

// danish returns how many groups make eight digits in a usual spacing.
func danish(text string, groups []group) int {
	digits, n := 0, 0
	var seps [8]byte
	pairs := true
	for digits < 8 && n < len(groups) {
		size := groups[n].end - groups[n].start
		if size < 2 || size > 8 {
			return 0
		}
		pairs = pairs && size == 2
		digits += size
		if n++; digits < 8 {
			if seps[n] = separator(groups[n-1].gap); seps[n] == 0 {
				return 0
			}
		}
	}
	if digits != 8 {
		return 0
	}
	for _, sep := range seps[2:max(2, n)] {
		if sep != seps[1] && (!pairs || sep == '.' || seps[1] == '.') {
			return 0
		}
	}
	if n > 1 && n < 4 && seps[1] == '.' && groups[1].end-groups[1].start == 3 {
		return 0 // 12.345.678 is an amount
	}
	if n < len(groups) { // more digits follow
		sep := separator(groups[n-1].gap)
		usual := n == 1 || pairs || n == 2 && groups[0].end-groups[0].start == 4
		if sep == '-' || sep == '.' || !usual {
			return 0
		}
	}
	return n
}

// internationalAt reads a number with its country code: +45, 0045, (+45), or another country's with a plus.
func internationalAt(text string, groups []group, at int) (start, n int) {
	g := groups[at]
	start = g.start
	first := text[g.start:g.end]
	plus := stepBack(text, g.start, isSpace)
	plus = stepBack(text, plus, isInvisible)
	switch {
	case plus > 0 && text[plus-1] == '+':
		start = plus - 1
	case strings.HasPrefix(first, "00") && len(first) >= 4:
		first = first[2:]
	case first == "45" && at+1 < len(groups):
		// "45 12 34 56 78": a country code without a sign, if nothing is left over.
		if m := danish(text, groups[at+1:]); m > 0 && at+1+m == len(groups) && separator(groups[at].gap) != 0 && !isDash(before(text, g.start)) {
			if !labelled(text, g.start, otherNumbers) {
				return g.start, m + 1
			}
		}
		return 0, 0
	default:
		return 0, 0
	}
	if i := stepBack(text, start, isSpace); i > 0 && text[i-1] == '(' {
		start = i - 1
	}
	need, most := 8, 15
	if strings.HasPrefix(first, "45") {
		need, most = 10, 10
	}
	digits := 0
	if strings.HasPrefix(text[g.start:g.end], "00") {
		digits = -2
	}
	best := 0
	for n = at; n < len(groups); n++ {
		digits += groups[n].end - groups[n].start
		if digits > most {
			break
		}
		if digits >= need {
			best = n - at + 1
		}
		if strings.Contains(groups[n].gap, "/") {
			break
		}
	}
	if best == 0 {
		return 0, 0
	}
	return start, best
}

// looksLikeDate tells whether eight digits are a date, a span of years or a span of hours.
func looksLikeDate(text string, groups []group) bool {
	num := func(s string) int {
		n := 0
		for i := range len(s) {
			n = n*10 + int(s[i]-'0')
		}
		return n
	}
	year := func(n int) bool { return n >= 1900 && n < 2100 }
	day := func(n int) bool { return n >= 1 && n <= 31 }
	month := func(n int) bool { return n >= 1 && n <= 12 }
	v := make([]int, 0, 4)
	sizes := make([]byte, 0, 4)
	for _, g := range groups {
		s := text[g.start:g.end]
		v = append(v, num(s))
		sizes = append(sizes, byte('0'+len(s)))
	}
	switch string(sizes) {
	case "44":
		return year(v[0]) && year(v[1])
	case "224":
		return day(v[0]) && month(v[1]) && year(v[2])
	case "422":
		return year(v[0]) && month(v[1]) && day(v[2])
	case "8":
		return v[0] >= 19900101 && v[0] < 20400000 && month(v[0]/100%100) && day(v[0]%100)
	case "2222": // 22.30-06.00
		return separator(groups[0].gap) == '.' && separator(groups[1].gap) == '-' && separator(groups[2].gap) == '.'
	}
	return false
}

// units follow a number that counts something.
const units = " kr kr. kroner mio mia dkk eur euro stk stk. kg ton m2 m² km % usd ,- "

func isAmount(text string, start, end int) bool {
	for _, sign := range []string{"kr. ", "kr ", "DKK ", "€ ", "€"} {
		if strings.HasSuffix(text[:start], sign) {
			return true
		}
	}
	if strings.HasPrefix(text[end:], ",-") {
		return true
	}
	rest := text[step(text, end, isSpace):]
	word, _, _ := strings.Cut(rest[:min(len(rest), 12)], " ")
	word = strings.ToLower(strings.TrimRight(word, ",;:)!?\n"))
	return word != "" && strings.Contains(units, " "+word+" ")
}
