package extract

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Street words. After a strong one a house number makes an address; a weak one, and any other name, needs a postal code or a floor too.
const (
	strongStreets = "vej vejen gade gaden allé alle alléen alleen vænge vænget parken stræde strædet torv torvet plads pladsen boulevard boulevarden bakken bakke vang vangen stien stræ skellet kajen brygge gravene grav toften løkken krogen svinget passagen esplanaden promenaden rampen perron volden brinken buen dammen chausse chaussé chausséen landevej tværvej ringvej stationsvej strand stranden kvarter"
)

// numberOf is not a house number: what is counted follows it.
const counted = " år timer time minutter min m m2 m² km kr kr. kroner medarbejdere ansatte kolleger børn elever beboere borgere boliger pladser stk procent % gange dage uger måneder mio mio. lejligheder værelser meter "

// findAddresses finds street addresses: street, number, floor, door, postal code and town.
func findAddresses(spans []Span, text string) []Span {
	have := len(spans)
	done := 0
	for i := 1; i < len(text); i++ {
		if !isDigit(text[i]) || isDigit(text[i-1]) || i < done {
			continue
		}
		gap := stepBack(text, i, isSpace)
		if gap == i {
			continue
		}
		name := gap
		if strings.HasSuffix(text[:name], " nr.") {
			name = stepBack(text, name-4, isSpace)
		}
		name = skipComma(text, name)
		if !unicode.IsLetter(before(text, name)) && before(text, name) != '.' {
			continue
		}
		start, strong := streetBefore(text, name, done)
		if start < 0 {
			continue
		}
		end, ok := houseNumber(text, i)
		if !ok {
			continue
		}
		end, precise := rest(text, end)
		if !precise && (!strong || name != gap || counts(text, end)) {
			continue
		}
		if _, taken := overlapping(spans[:have], start, end); taken {
			continue
		}
		spans = append(spans, Span{Address, start, end})
		done = end
	}
	return spans
}

// skipComma goes back over a comma between the street and its number.
func skipComma(text string, i int) int {
	if i > 0 && text[i-1] == ',' {
		return i - 1
	}
	return i
}

// streetBefore goes back over at most four capitalised words that end at i. It returns −1 when the last one is not capitalised.
func streetBefore(text string, i, floor int) (start int, strong bool) {
	start = -1
	for words := 0; words < 4; words++ {
		end := i
		abbreviated := end > 0 && text[end-1] == '.'
		if abbreviated && words > 0 {
			i--
		}
		at := stepBack(text, i, func(r rune) bool {
			return isWord(r) || r == '-' || r == '\'' || r == '’' || r == '.' && words > 0
		})
		if at < floor || at == i {
			break
		}
		word := text[at:i]
		r := after(text, at)
		if !unicode.IsUpper(r) || abbreviated && words > 0 && !isShort(word) {
			break
		}
		if words == 0 {
			lower := strings.ToLower(word)
			for suffix := range strings.FieldsSeq(strongStreets) {
				if strings.HasSuffix(lower, suffix) {
					strong = true
					break
				}
			}
		}
		start = at
		gap := stepBack(text, at, isSpace)
		if gap == at {
			break
		}
		i = gap
	}
	return start, strong
}

// isShort tells whether word, which a full stop follows, is an abbreviation such as Gl, Sdr or H.C.
func isShort(word string) bool {
	return utf8.RuneCountInString(word) <= 4 || strings.IndexByte(word, '.') > 0
}

// houseNumber reads "12", "12B", "12 B", "4-6", "12A-C".
func houseNumber(text string, i int) (end int, ok bool) {
	end = i
	for end < len(text) && isDigit(text[end]) {
		end++
	}
	if end-i > 3 {
		return 0, false
	}
	letter := func(i int) int {
		if i < len(text) && isASCIILetter(text[i]) && !isWord(after(text, i+1)) {
			return i + 1
		}
		return i
	}
	end = letter(end)
	if end+1 < len(text) && isSpace(after(text, end)) && text[end+1] >= 'A' && text[end+1] <= 'Z' && !isWord(after(text, end+2)) {
		end += 2
	}
	r, n := utf8.DecodeRuneInString(text[end:])
	if isDash(r) && end+n < len(text) && (isDigit(text[end+n]) || text[end+n] >= 'A' && text[end+n] <= 'Z') {
		to := end + n
		for to < len(text) && isDigit(text[to]) {
			to++
		}
		if to = letter(to); !isWord(after(text, to)) {
			end = to
		}
	}
	if end < len(text) && isWord(after(text, end)) {
		return 0, false
	}
	if end+1 < len(text) && (text[end] == '.' || text[end] == ',') && isDigit(text[end+1]) {
		return 0, false
	}
	return end, true
}

// rest reads floor, door, place, postal code and town, and tells whether there was a floor or a postal code.
func rest(text string, end int) (int, bool) {
	precise := false
	for range 5 {
		i := step(text, end, func(r rune) bool { return isSpace(r) || r == ',' || r == '\n' })
		comma := strings.IndexByte(text[end:i], ',') >= 0
		newline := strings.IndexByte(text[end:i], '\n') >= 0
		if to := postal(text, i); to > 0 {
			return to, true
		}
		if newline {
			break
		}
		if to := floorDoor(text, i); to > 0 && (comma || precise) {
			end, precise = to, true
			continue
		}
		if comma { // "Præstegårdsvej 3, Hjortbjerg, 8883 Gjern"
			to := step(text, i, func(r rune) bool { return isWord(r) || isSpace(r) || r == '-' })
			if to > i && to-i < 30 && unicode.IsUpper(after(text, i)) && to < len(text) && text[to] == ',' {
				if town := postal(text, step(text, to+1, isSpace)); town > 0 {
					return town, true
				}
			}
		}
		break
	}
	return end, precise
}

// floorDoor reads one of "st.", "kld.", "2.", "2. sal", "th.", "tv.", "mf.", "1. th", "dør 4", "lejl. 3".
func floorDoor(text string, i int) int {
	word := func(i int) (string, int) {
		end := step(text, i, unicode.IsLetter)
		return strings.ToLower(text[i:end]), end
	}
	dot := func(end int) int {
		if end < len(text) && text[end] == '.' {
			return end + 1
		}
		return end
	}
	if i < len(text) && isDigit(text[i]) {
		end := i + 1
		if end < len(text) && isDigit(text[end]) {
			end++
		}
		if end >= len(text) || text[end] != '.' {
			return 0
		}
		end++
		next := step(text, end, isSpace)
		switch w, to := word(next); w {
		case "sal", "th", "tv", "mf", "dør", "etage":
			return dot(to)
		}
		if end == len(text) || text[end] == ',' || text[end] == '\n' {
			return end
		}
		return 0
	}
	switch w, to := word(i); w {
	case "st", "kld", "th", "tv", "mf", "stuen", "kælder", "kælderen":
		return dot(to)
	case "dør", "lejl", "opgang", "port", "bygning":
		at := step(text, dot(to), isSpace)
		if end := step(text, at, isWord); end > at && end-at <= 4 {
			return end
		}
	}
	return 0
}

// postal reads "5000 Odense C", with "DK-" before or not, and returns where it ends, 0 if there is none.
func postal(text string, i int) int {
	if strings.HasPrefix(text[i:], "DK-") || strings.HasPrefix(text[i:], "DK ") {
		i += 3
	}
	end := i
	for end < len(text) && isDigit(text[end]) {
		end++
	}
	town := step(text, end, isSpace)
	if end-i != 4 || town == end || !unicode.IsUpper(after(text, town)) {
		return 0
	}
	for words := 0; words < 3; words++ {
		next := step(text, town, func(r rune) bool { return unicode.IsLetter(r) || r == '-' })
		if next == town || !unicode.IsUpper(after(text, town)) {
			break
		}
		end = next
		if town = step(text, next, isSpace); town == next {
			break
		}
	}
	return end
}

// counts tells whether the word after a number says what it counts.
func counts(text string, end int) bool {
	i := step(text, end, isSpace)
	to := step(text, i, func(r rune) bool { return !unicode.IsSpace(r) && r != ',' && r != ';' })
	return to > i && strings.Contains(counted, " "+strings.ToLower(strings.TrimRight(text[i:to], ".:"))+" ")
}
