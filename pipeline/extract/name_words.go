package extract

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// token is a word of a text; letters, and hyphens and apostrophes inside.
type token struct {
	start, end int
	upper      bool // begins with a capital
	caps       bool // two letters or more, all capitals
	closed     bool // inside another span, or part of a name that is kept
	opens      bool // begins a sentence, a line or a quotation
}

func startsUpper(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsUpper(r)
}

func tokenize(text string) []token {
	var tokens []token
	opens := true
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if !unicode.IsLetter(r) {
			switch {
			case r == '\n' || r == '.' || r == '!' || r == '?' || r == ':' || r == '•' || r == '"' || r == '»' || r == '”' || r == '*' || r == '·':
				opens = true
			case isSpace(r) || isDash(r) || r == '(' || isInvisible(r):
			default:
				opens = false
			}
			i += size
			continue
		}
		t := token{start: i, upper: unicode.IsUpper(r), opens: opens}
		letters, capitals := 0, 0
		for i < len(text) {
			r, size = utf8.DecodeRuneInString(text[i:])
			if unicode.IsLetter(r) {
				letters++
				if unicode.IsUpper(r) {
					capitals++
				}
			} else if !unicode.IsMark(r) && !(r == '-' || r == '\'' || r == '’' || isDash(r)) || i+size >= len(text) || !unicode.IsMark(r) && !unicode.IsLetter(after(text, i+size)) {
				break
			}
			i += size
		}
		t.end = i
		t.caps = letters > 1 && letters == capitals
		tokens = append(tokens, t)
		opens = false
	}
	return tokens
}

// cued tells whether the words before token i announce a person: a cue, a title, or both.
func (n *names) cued(i int) bool { return n.cue(i)&(personCue|titleWord) != 0 }

// cue returns what the words before token i announce. Titles may stand between: "kontakt ledende lægesekretær Benedikte".
func (n *names) cue(i int) wordClass {
	var seen wordClass
	for back := 1; back <= 4 && i-back >= 0; back++ {
		at := i - back
		gap := n.gap(at)
		word := strings.ToLower(n.word(at))
		class := n.words[word]
		if n.tokens[at].caps && !n.tokens[i].caps { // "MS Project"
			return seen
		}
		crossing := strings.Contains(gap, "\n")
		if crossing && class&personCue != 0 && (word == "hilsen" || word == "mvh" || word == "vh" || word == "kh" || word == "hilsner" || strings.HasPrefix(word, "kontaktperson")) {
			return seen | personCue | sureCue
		}
		if strings.HasPrefix(gap, ".") && utf8.RuneCountInString(word) > 4 { // a sentence, not "att."
			return seen
		}
		if crossing || strings.ContainsAny(gap, "!?;") || strings.Contains(gap, ". ") && back > 1 {
			return seen
		}
		if class&personCue != 0 {
			seen |= class & (personCue | sureCue)
			prev := ""
			if at > 0 {
				prev = strings.ToLower(n.word(at - 1))
			}
			switch word { // weak words need the one before them
			case "til":
				if !strings.HasPrefix(prev, "ring") && !strings.HasPrefix(prev, "skriv") && !strings.HasPrefix(prev, "henvendelse") && !strings.HasPrefix(prev, "rettes") && prev != "sms" && prev != "mail" {
					seen &^= personCue
				}
			case "hedder": // things have names too
				if prev != "jeg" && prev != "han" && prev != "hun" && !n.looksTitle(prev) {
					seen &^= personCue | sureCue
				}
			case "efter":
				if !strings.HasPrefix(prev, "spørg") {
					seen &^= personCue
				} else {
					seen |= sureCue
				}
			case "med":
				if !strings.HasPrefix(prev, "tal") && !strings.HasPrefix(prev, "snak") && prev != "kontakt" {
					seen &^= personCue
				}
			case "om":
				if prev != "bed" {
					seen &^= personCue
				} else {
					seen |= sureCue
				}
			case "er":
				if prev != "navn" && prev != "kontaktperson" && prev != "leder" && prev != "chef" {
					seen &^= personCue
				} else {
					seen |= sureCue
				}
			case "af":
				if prev != "besvares" && prev != "underskrevet" && prev != "består" {
					seen &^= personCue
				}
			case "v":
				if !strings.HasPrefix(n.gap(at), "/") {
					seen &^= personCue
				} else {
					seen |= sureCue
				}
			case "hos", "ved":
				if seen&titleWord == 0 {
					seen &^= personCue
				}
			}
			return seen
		}
		if n.looksTitle(word) {
			seen |= titleWord
			continue
		}
		if n.tokens[at].upper && !n.tokens[at].opens {
			return seen
		}
		if seen == 0 {
			return seen
		}
	}
	return seen
}

// phoneFollows tells whether contact details follow token end−1: "på tlf.", ", mobil", a phone number or an e-mail address.
func (n *names) phoneFollows(end int) bool {
	from := n.tokens[end-1].end
	for _, sp := range n.others {
		if sp.Start >= from && sp.Start-from <= 24 && (sp.Kind == Phone || sp.Kind == Email) {
			between := strings.ToLower(n.text[from:sp.Start])
			return !strings.ContainsAny(between, "!?;") && !strings.Contains(between, ". ") || strings.Contains(between, "tlf") || strings.Contains(between, "tel")
		}
	}
	return false
}
