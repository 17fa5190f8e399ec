package extract

import (
	"strings"
	"unicode/utf8"
)

// Sizes of the encoder's input in code points. Beyond maxText the encoder gains nothing; duties leave room for demands.
const (
	maxText   = 900
	maxDuties = 600
	maxItems  = 24
	little    = 80 // with less than this, sentences with contacts are read too
)

// parts is what an advertisement was taken apart into.
type parts struct {
	title string
	// What an extraction lists, cut down to what it says.
	occupations, tasks, skills []string
	// Whole sentences, which the encoder understands better: what one does, what one must be able to, what else informs,
	// boilerplate, and boilerplate with contacts for texts that hold nothing else.
	duties, demands, others, boilerplate, contacts []string
}

// sort puts every segment where it belongs.
func (p *parts) sort(segments []segment) {
	task := func(item, sentence string) {
		p.tasks, p.duties = append(p.tasks, item), append(p.duties, sentence)
	}
	skill := func(item, sentence string) {
		p.skills, p.demands = append(p.skills, item), append(p.demands, sentence)
	}
	for _, s := range segments {
		text := item(s.text)
		if text == "" {
			continue
		}
		sentence := strings.Trim(unmark(s.text), " ,;:")
		lower := s.lower
		switch {
		case strings.Count(text, " ") < 2 && !s.bullet && (s.section == anywhere || text != s.text && strings.ContainsRune(s.text, nameMark)),
			s.section == terms, s.noise && !(s.bullet && s.section == duties && !strings.ContainsRune(lower, contactMark)):
			if isContact(s) {
				p.contacts = append(p.contacts, sentence)
			} else {
				p.boilerplate = append(p.boilerplate, sentence)
			}
		case s.heading:
			if s.section == anywhere || len(text) > 30 {
				p.others = append(p.others, sentence)
			}
		case s.section == duties, s.bullet && s.section == anywhere && !isDemand(lower):
			task(text, sentence)
		case s.section == demands:
			skill(text, sentence)
		case isTask(lower):
			task(text, sentence)
		case isDemand(lower):
			skill(text, sentence)
		default:
			p.others = append(p.others, sentence)
		}
	}
	p.tasks = p.tasks[:min(len(p.tasks), maxItems)]
	p.skills = p.skills[:min(len(p.skills), maxItems)]
}

// isContact tells whether a sentence of boilerplate holds personal data or is where it usually stands.
func isContact(s segment) bool {
	if strings.ContainsRune(s.text, contactMark) || strings.ContainsRune(s.text, nameMark) {
		return true
	}
	for _, word := range []string{"kontakt", "spørgsmål", "hilsen", "ring ", "henvend", "vide mere", "contact"} {
		if strings.Contains(s.lower, word) {
			return true
		}
	}
	return false
}

// compose joins the encoder's input: title, duties, demands, what else informs, then boilerplate, without repeats.
func (p *parts) compose() string {
	var out strings.Builder
	length := 0
	folded := ""
	add := func(s string, limit int) {
		if s == "" {
			return
		}
		n := utf8.RuneCountInString(s)
		if length+n+2 > limit {
			if limit-length < 40 {
				return
			}
			s = clip(s, limit-length-2)
			n = utf8.RuneCountInString(s)
		}
		lower := strings.ToLower(s)
		if strings.Contains(folded, lower) {
			return
		}
		folded += ", " + lower
		if length > 0 {
			out.WriteString(", ")
			length += 2
		}
		out.WriteString(s)
		length += n
	}
	list := func(sentences []string, limit int) {
		for _, s := range sentences {
			add(s, limit)
		}
	}
	add(p.title, maxText)
	list(p.duties, maxDuties)
	list(p.demands, maxText)
	list(p.others, maxText)
	list(p.duties, maxText)
	list(p.boilerplate, maxText)
	if length < little {
		list(p.contacts, maxText)
	}
	return out.String()
}
