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

// composer joins the encoder's input.
type composer struct {
	out    strings.Builder
	length int    // in code points
	folded string // what is there, in lower case
}

// add adds s, cut to what limit leaves; it adds nothing where that is little, or where repeats may not be and s is there already.
func (c *composer) add(s string, limit int, repeats bool) {
	if s == "" {
		return
	}
	n := utf8.RuneCountInString(s)
	if c.length+n+2 > limit {
		if limit-c.length < 40 {
			return
		}
		s = clip(s, limit-c.length-2)
		n = utf8.RuneCountInString(s)
	}
	lower := strings.ToLower(s)
	if !repeats && strings.Contains(c.folded, lower) {
		return
	}
	c.folded += ", " + lower
	if c.length > 0 {
		c.out.WriteString(", ")
		c.length += 2
	}
	c.out.WriteString(s)
	c.length += n
}

// entities adds what GLiNER2 found by label, as the reference system joins it; a label's repeats come once.
func (c *composer) entities(found []finding) {
	seen := map[[2]string]bool{}
	for _, f := range found {
		if text := [2]string{f.entity.Label, strings.ToLower(f.entity.Text)}; !seen[text] {
			seen[text] = true
			c.add(f.entity.Text, maxText, true)
		}
	}
}

// sentences adds title, duties, demands, what else informs, then boilerplate, without repeats.
func (c *composer) sentences(p *parts) {
	list := func(sentences []string, limit int) {
		for _, s := range sentences {
			c.add(s, limit, false)
		}
	}
	c.add(p.title, maxText, false)
	list(p.duties, maxDuties)
	list(p.demands, maxText)
	list(p.others, maxText)
	list(p.duties, maxText)
	list(p.boilerplate, maxText)
	if c.length < little {
		list(p.contacts, maxText)
	}
}
