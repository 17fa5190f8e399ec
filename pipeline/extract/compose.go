package extract

import (
	"strings"
	"unicode/utf8"
)

// Sizes of the encoder's input in code points. Beyond maxText the encoder gains nothing; tasks leave room for skills.
const (
	maxText  = 900
	maxTasks = 600
	maxItems = 24
	little   = 80 // with less than this, boilerplate is read too
)

// parts is what an advertisement was taken apart into.
type parts struct {
	title       string
	occupations []string
	tasks       []string
	skills      []string
	others      []string // sentences that inform without being either
	last        []string // boilerplate, for texts that hold nothing else
}

// sort puts every segment where it belongs.
func (p *parts) sort(segments []segment) {
	for _, s := range segments {
		text := item(s.text)
		if text == "" {
			continue
		}
		lower := s.lower
		switch {
		case strings.Count(text, " ") < 2 && !s.bullet && (s.section == anywhere || text != s.text && strings.ContainsRune(s.text, nameMark)):
			p.last = append(p.last, text)
		case s.section == terms || s.noise && !(s.bullet && s.section == duties && !strings.ContainsRune(lower, contactMark)):
			p.last = append(p.last, text)
		case s.heading:
			if s.section == anywhere || len(text) > 30 {
				p.others = append(p.others, text)
			}
		case s.section == duties, s.bullet && s.section == anywhere && !isDemand(lower):
			p.tasks = append(p.tasks, text)
		case s.section == demands:
			p.skills = append(p.skills, text)
		case isTask(lower):
			p.tasks = append(p.tasks, text)
		case isDemand(lower):
			p.skills = append(p.skills, text)
		default:
			p.others = append(p.others, text)
		}
	}
	p.tasks = p.tasks[:min(len(p.tasks), maxItems)]
	p.skills = p.skills[:min(len(p.skills), maxItems)]
}

// compose joins the encoder's input: title, occupations, tasks, skills, then what else informs, without repeats.
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
	catchy := strings.HasSuffix(p.title, "?") || strings.HasSuffix(p.title, "!")
	if !catchy {
		add(p.title, maxText)
	}
	for _, s := range p.occupations {
		add(s, maxText)
	}
	for _, s := range p.tasks {
		add(s, maxTasks)
	}
	for _, s := range p.skills {
		add(s, maxText)
	}
	if catchy {
		add(p.title, maxText)
	}
	for _, s := range p.others {
		add(s, maxText)
	}
	for _, s := range p.tasks {
		add(s, maxText)
	}
	if length < little {
		for _, s := range p.last {
			add(s, maxText)
		}
	}
	return out.String()
}
