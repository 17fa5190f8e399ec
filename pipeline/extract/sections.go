package extract

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// section says what a part of an advertisement is about.
type section byte

const (
	anywhere section = iota
	duties           // what one does
	demands          // what one must be able to
	terms            // pay, hours, application, equal opportunity: says nothing about the occupation
	firm             // about the employer
)

// segment is a sentence, a bullet or a heading, with the section it stands in.
type segment struct {
	text    string
	section section
	bullet  bool
	heading bool // also a line that introduces bullets

	lower string // text in lower case
	noise bool   // says nothing about the occupation
}

// headings begin or are the headings of each section, in lower case; the longest match wins. "*" at the start stands for any beginning of the word.
var headings = map[section]string{
	duties: `*opgaver|*opgaverne|*opgave|opgaven|opgaverne|jobbet|om jobbet|om stillingen|stillingen|det daglige arbejde|din hverdag|hverdagen|en typisk dag|din dag|dagen|du skal|du kommer til at|
		du vil komme til at|du vil|arbejdet|om arbejdet|ansvarsområder|dine ansvarsområder|ansvar|dit ansvar|hvad skal du lave|hvad laver du|det skal du|du bliver ansvarlig|du får ansvar|
		jobbet består|stillingen indebærer|stillingen omfatter|jobindhold|arbejdsområder|dit job|din rolle|rollen|om rollen|som |tasks|your tasks|responsibilities|your responsibilities|
		key responsibilities|the job|the role|your role|what you will do|what you'll do|sådan er jobbet|det laver du|du kommer til|dine primære|i stillingen|i jobbet|funktioner|indhold|jobbeskrivelse`,
	demands: `kvalifikationer|dine kvalifikationer|faglige kvalifikationer|personlige kvalifikationer|vi forventer|vi ønsker|om dig|hvem er du|din profil|profil|profilen|du har|du er|du kan|dig|
		krav|kravene|vores krav|din baggrund|baggrund|din faglighed|faglighed|kompetencer|dine kompetencer|faglige|personlige|vi søger|vi leder efter|vi lægger vægt på|vi forestiller os|vi har brug for|
		vi forudsætter|forudsætninger|det forventes|det kræver|erfaring|uddannelse|hvem søger vi|hvad forventer vi|forventninger|vores forventninger|gerne|den ideelle kandidat|ideelt|du bør|
		requirements|your profile|qualifications|your qualifications|skills|who you are|about you|you have|we expect|we are looking for|det har du|sådan er du|er du|har du`,
	terms: `vi tilbyder|vi giver|vi byder på|hvad tilbyder vi|det tilbyder vi|du får|det får du|til gengæld|vilkår|løn|løn og|løn- og|ansættelse|ansættelsesvilkår|ansættelsesforhold|arbejdstid|arbejdstider|
		praktisk|praktiske|praktiske oplysninger|ansøgning|ansøgningen|din ansøgning|ansøgningsfrist|frist|kontakt|kontaktoplysninger|interesseret|er du interesseret|lyder det|spørgsmål|yderligere|
		yderligere oplysninger|vil du vide mere|mere information|læs mere|sådan søger du|søg|send|tiltrædelse|ansættelsessamtaler|samtaler|mangfoldighed|ligestilling|we offer|benefits|how to apply|
		application|contact|salary|hvad får du|hvorfor vælge os|øvrigt|andet|arbejdssted|arbejdsstedet|goder|personalegoder|rekrutteringsproces|processen|henvendelse|hilsen|venlig hilsen|med venlig hilsen|mvh`,
	firm: `om os|hvem er vi|om virksomheden|om arbejdspladsen|om afdelingen|om skolen|om kommunen|om |vi er|hvem vi er|virksomheden|afdelingen|about us|who we are|our company|vores|hos os`,
}

// maxHeading is the longest heading, in bytes.
const maxHeading = 80

// headingOf returns the section that a line opens, whether it is a heading at all.
func headingOf(line string) (section, bool) {
	lower := strings.ToLower(strings.Trim(line, " :.?!*-–—#_=»«\""))
	best, found := 0, anywhere
	for _, kind := range []section{duties, demands, terms, firm} {
		for phrase := range strings.SplitSeq(headings[kind], "|") {
			phrase = strings.TrimLeft(phrase, "\n\t")
			if len(phrase) <= best {
				continue
			}
			if ending, ok := strings.CutPrefix(phrase, "*"); ok {
				word, _, _ := strings.Cut(lower, " ")
				second := lower
				if strings.HasPrefix(lower, "dine ") || strings.HasPrefix(lower, "vores ") || strings.HasPrefix(lower, "typiske ") || strings.HasPrefix(lower, "primære ") {
					_, second, _ = strings.Cut(lower, " ")
					second, _, _ = strings.Cut(second, " ")
				}
				if strings.HasSuffix(word, ending) || strings.HasSuffix(second, ending) {
					best, found = len(phrase), kind
				}
				continue
			}
			if strings.HasPrefix(lower, phrase) && (len(lower) == len(phrase) || phrase[len(phrase)-1] == ' ' || !isWord(after(lower, len(phrase)))) {
				best, found = len(phrase), kind
			}
		}
	}
	return found, best > 0
}

// isBullet tells whether a line is an item of a list, and returns it without its sign.
func isBullet(line string) (string, bool) {
	r, size := utf8.DecodeRuneInString(line)
	switch {
	case strings.ContainsRune("•·*‣▪●○◦➢✓✔►", r) || r == '-' || isDash(r):
		item := strings.TrimLeft(line[size:], " \t•*-")
		return item, item != ""
	case r >= '0' && r <= '9' && len(line) > 3:
		if (line[1] == ')' || line[1] == '.') && line[2] == ' ' && startsUpper(line[3:]) {
			return line[3:], true
		}
	}
	return line, false
}

// parse takes a cleaned text apart.
func parse(text string) []segment {
	lines := strings.Split(text, "\n")
	var segments []segment
	at, filled := anywhere, false
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" {
			if filled && !listFollows(lines[i+1:]) {
				at = anywhere
			}
			continue
		}
		if item, ok := isBullet(line); ok {
			segments = append(segments, segment{text: item, section: at, bullet: true})
			filled = true
			continue
		}
		if kind, rest, ok := openedBy(line, listFollows(lines[i+1:])); ok {
			at, filled = kind, false
			if rest == "" {
				segments = append(segments, segment{text: line, section: at, heading: true})
				continue
			}
			line = rest
		}
		for _, s := range sentences(line) {
			segments = append(segments, segment{text: s, section: at})
		}
		filled = true
	}
	for i := range segments {
		s := &segments[i]
		s.lower = strings.ToLower(s.text)
		s.noise = isNoise(s.lower)
	}
	return segments
}

// openedBy reads a line as a heading, or as a heading with a colon and what follows it.
func openedBy(line string, list bool) (kind section, rest string, ok bool) {
	last, _ := utf8.DecodeLastRuneInString(line)
	ended := last == '.' || last == '!' || last == ','
	if len(line) <= maxHeading && !ended || list && len(line) <= 2*maxHeading {
		lead := line
		if all := sentences(line); len(all) > 1 { // "Det lyder godt. Du skal"
			lead = all[len(all)-1]
		}
		if kind, ok := headingOf(lead); ok && (list || last == ':' || len(lead) <= 50) {
			return kind, "", true
		}
		if list {
			return anywhere, "", true
		}
	}
	if colon := strings.Index(line, ": "); colon > 0 && colon <= 45 {
		if kind, ok := headingOf(line[:colon]); ok {
			return kind, line[colon+2:], true
		}
	}
	return anywhere, "", false
}

// listFollows tells whether the next line that is not blank is a bullet.
func listFollows(lines []string) bool {
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			_, ok := isBullet(line)
			return ok
		}
	}
	return false
}

// abbreviations end with a full stop that ends no sentence.
const abbreviations = " kl pr ca bl bl.a nr tlf tel d st evt mv m.v inkl ekskl f.eks fx feks osv mio mia kr jf hhv dvs o.l el lign e.l ifm i.f.m ift vedr max maks min ph.d stk gl dr sdr ndr mdr h.c mm m.m cand stud "

// sentences splits a line. A full stop ends a sentence when a capital follows and no abbreviation or number stands before.
func sentences(line string) []string {
	var out []string
	start := 0
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c != '.' && c != '!' && c != '?' || i+2 >= len(line) || line[i+1] != ' ' {
			continue
		}
		next := after(line, i+2)
		if unicode.IsLower(next) && c == '.' {
			continue
		}
		if c == '.' {
			from := strings.LastIndexByte(line[:i], ' ') + 1
			word := strings.ToLower(strings.TrimLeft(line[from:i], "("))
			if strings.Contains(abbreviations, " "+word+" ") || len(word) > 0 && len(word) <= 2 && isDigit(word[0]) {
				continue
			}
		}
		if s := strings.TrimSpace(line[start : i+1]); s != "" {
			out = append(out, s)
		}
		start = i + 1
	}
	if s := strings.TrimSpace(line[start:]); s != "" {
		out = append(out, s)
	}
	return out
}
