package extract

import (
	"strings"
	"unicode"
)

func isMailLocal(r rune) bool { return isWord(r) || strings.ContainsRune(".-_+%&'’", r) }

func isDomain(r rune) bool { return isWord(r) || r == '.' || r == '-' }

// findEmails finds name@domain.tld, also written (at), [at] and (a), also with one space on either side.
func findEmails(spans []Span, text string) []Span {
	for i := 0; i < len(text); i++ {
		start, end := i, i+1
		switch text[i] {
		case '@':
		case '(', '[':
			n := spelledAt(text[i:])
			if n == 0 {
				continue
			}
			end = i + n
		default:
			continue
		}
		spaced := start > 0 && text[start-1] == ' ' && end < len(text) && text[end] == ' ' || text[i] != '@'
		if spaced {
			start = stepBack(text, start, isSpace)
			end = step(text, end, isSpace)
		}
		from := stepBack(text, start, isMailLocal)
		from = step(text, from, func(r rune) bool { return from < start && !isWord(r) && r != '_' && r != '+' })
		to := step(text, end, isDomain)
		for to > end && !isWord(before(text, to)) {
			to--
		}
		if from >= start || to <= end {
			continue
		}
		dot := strings.LastIndexByte(text[end:to], '.')
		if dot < 1 || to-(end+dot+1) < 2 {
			continue
		}
		if len(spans) > 0 && spans[len(spans)-1].End > from {
			from = spans[len(spans)-1].End
		}
		if from < to {
			spans = append(spans, Span{Email, from, to})
			i = to - 1
		}
	}
	return spans
}

// spelledAt returns the length of an "at" in brackets at the start of s, 0 if there is none.
func spelledAt(s string) int {
	for _, at := range []string{"(at)", "[at]", "(a)", "[a]", "(snabel-a)", "(snabela)", "[snabel-a]", "(@)", "[@]"} {
		if len(s) >= len(at) && strings.EqualFold(s[:len(at)], at) {
			return len(at)
		}
	}
	return 0
}

// topLevel are the domains that make a bare "name.tld" an address of a page.
const topLevel = " dk com org net eu io nu info se no de app dev cloud jobs biz uk ai co gl fo is fi nl edu gov online shop page site tech me tv fm work career careers hr link ly gg "

// products have a dot and look like a page.
const products = " asp.net vb.net ado.net ml.net .net socket.io draw.io e.l.co "

func isURLEnd(r rune) bool {
	return unicode.IsSpace(r) || isSpace(r) || isInvisible(r) || strings.ContainsRune("<>\"»«“”|{}\\^`", r)
}

// findURLs finds addresses with a scheme, with www., and bare ones such as firma.dk/job.
func findURLs(spans []Span, text string) []Span {
	have := len(spans)
	done := 0
	add := func(start, end int) int {
		for end > start && strings.ContainsRune(".,;:!?)]}'’*_", before(text, end)) {
			end -= len(string(before(text, end)))
		}
		if start < done {
			start = done
		}
		for _, sp := range spans[:have] { // an e-mail address inside is its own item
			if sp.Start < end && start < sp.End {
				return end
			}
		}
		if end > start {
			spans = append(spans, Span{URL, start, end})
			done = end
		}
		return end
	}
	toEnd := func(i int) int { return step(text, i, func(r rune) bool { return !isURLEnd(r) }) }
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ':':
			if !strings.HasPrefix(text[i:], "://") || i+3 >= len(text) || isURLEnd(after(text, i+3)) {
				continue
			}
			start := stepBack(text, i, func(r rune) bool { return r < 0x80 && (isASCIILetter(byte(r)) || r >= '0' && r <= '9' || r == '+') })
			if start < i {
				i = max(i, add(start, toEnd(i+3))-1)
			}
		case '.':
			if i < done {
				continue
			}
			start := stepBack(text, i, isDomain)
			start = step(text, start, func(r rune) bool { return !isWord(r) })
			if start >= i || start < done {
				continue
			}
			if i-start == 3 && strings.EqualFold(text[start:i], "www") && i+1 < len(text) && isWord(after(text, i+1)) {
				i = max(i, add(start, toEnd(i))-1)
				continue
			}
			end := step(text, i, isDomain)
			for end > start && !isWord(before(text, end)) {
				end--
			}
			if bareDomain(text[start:end]) && before(text, start) != '@' && after(text, end) != '@' {
				if end < len(text) && (text[end] == '/' || text[end] == '?' || text[end] == '#' || text[end] == ':') && end+1 < len(text) && !isURLEnd(after(text, end+1)) {
					end = toEnd(end)
				}
				i = max(i, add(start, end)-1)
			} else {
				i = max(i, end-1) // the same letters need no second look
			}
		}
	}
	return spans
}

// bareDomain tells whether host is a page's address although nothing says so.
func bareDomain(host string) bool {
	dot := strings.LastIndexByte(host, '.')
	if dot < 1 {
		return false
	}
	tld := host[dot+1:]
	lower := strings.ToLower(tld)
	if !strings.Contains(topLevel, " "+lower+" ") || strings.Contains(products, " "+strings.ToLower(host)+" ") || strings.Contains(host, "..") {
		return false
	}
	if tld != lower && tld != strings.ToUpper(tld) { // "slut.De" is a missing space
		return false
	}
	label := host[:dot]
	if at := strings.LastIndexByte(label, '.'); at >= 0 {
		label = label[at+1:]
	}
	letters := false
	for _, r := range label {
		letters = letters || unicode.IsLetter(r)
	}
	return letters && len(label) >= 2
}
