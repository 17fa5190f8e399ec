package extract

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// noise marks a sentence about pay, hours, application or the like, in lower case.
var noise = []string{
	"ansøgning", "ansøger", "ansættelsessamtale", "jobsamtale", "samtaler holdes", "samtaler afholdes", "samtaler forventes", "overenskomst", "pension ", "pension,", "pension.", "pensionsordning", "løn ", "lønnen", "lønramme",
	"månedsløn", "timeløn", "årsløn", "grundløn", "kr. ", "kr./", "tiltrædelse", "tiltræde", "frist ", "frist:", "send dit cv", " cv ", "læs mere", "hør mere", "høre mere", "vide mere", "kontakt os", "kontakte ", "ring til", "ring på",
	"spørgsmål til stilling", "har du spørgsmål", "spørgsmål rettes", "spørgsmål besvares", "henvendelse til", "uanset", "etnisk", "ligestilling", "straffeattest", "børneattest", "arbejdstid", "timer om ugen", "timer ugentlig", "37 timer",
	"stillingen er på", "sundhedsforsikring", "frokostordning", "personalegoder", "hilsen", "velkommen til at", "åbent hus", "rundvisning", "cvr", "tilmeld", "gratis parkering", "kantineordning", "vi tilbyder", "til gengæld",
	"databeskyttelse", "salary", "apply", "pension scheme", "equal opportun", "tlf", "feriefri", "feriedage", "anciennitet", "startdato", "opstart snarest", "opstart hurtigst", "prøvetid",
}

// isNoise tells whether a sentence says nothing about the occupation.
func isNoise(lower string) bool {
	if strings.ContainsRune(lower, contactMark) {
		return true
	}
	for _, word := range noise {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

// leads stand before a task or a demand and carry nothing.
var leads = []string{
	"du kommer til at ", "du vil komme til at ", "du kommer også til at ", "du skal også kunne ", "du skal også ", "du skal kunne ", "du skal have ", "du skal være ", "du skal ", "du bliver ansvarlig for ", "du bliver ",
	"du får ansvaret for ", "du får ansvar for ", "du får ", "du vil ", "du har ", "du er ", "du kan ", "du ", "at du ", "at ", "vi forventer, at du ", "vi lægger vægt på, at du ", "vi ønsker, at du ", "det forventes, at du ",
	"vi forestiller os, at du ", "som ", "der ", "og ", "samt ", "gerne ", "you will ", "you have ", "you are ", "you ", "desuden ", "derudover ", "har ", "er ", "kan ",
}

// isTask tells whether a sentence outside every section says what one does.
func isTask(lower string) bool {
	for _, start := range []string{"du skal ", "du bliver ", "du kommer ", "du får ansvar", "du vil ", "dine ", "din ", "opgave", "arbejdet ", "jobbet ", "i jobbet", "i arbejdet", "her ", "som ", "hos os ", "dagen ", "stillingen indeb", "you will", "om morgenen", "hver dag"} {
		if strings.HasPrefix(lower, start) {
			return true
		}
	}
	if strings.HasPrefix(lower, "du ") { // a verb in the present tense, but not what one is or has
		verb, _, _ := strings.Cut(lower[3:], " ")
		return strings.HasSuffix(verb, "r") && verb != "er" && verb != "har"
	}
	return strings.Contains(lower, " skal du ") || strings.Contains(lower, " opgave") || strings.Contains(lower, " du skal ") || strings.Contains(lower, " kommer du til ") || strings.Contains(lower, "opgaver ")
}

// maxItem is the longest task or skill, in code points.
const maxItem = 160

// item makes a task or a skill of a sentence: without its lead, its marks and its full stop. What is too short is none.
func item(s string) string {
	s = unmark(s)
	lower := strings.ToLower(s)
	if len(lower) == len(s) {
		for _, lead := range leads {
			if strings.HasPrefix(lower, lead) {
				s = s[len(lead):]
				break
			}
		}
	}
	s = strings.Trim(s, " .,:;!?-–—*•()\"»«")
	s = clip(s, maxItem)
	if utf8.RuneCountInString(s) < 3 || !strings.ContainsFunc(s, unicode.IsLetter) {
		return ""
	}
	return s
}

// dangling is left over where personal data was cut.
var dangling = []string{"tlf", "tlf.", "telefon", "mobil", "mail", "e-mail", "på", "til", "hos", "kontakt", "v/", "att.", "eller", "og", "af", "med", "cpr", "cpr.", "cpr-nr."}

// unmark takes the marks of cut items out, with the words that led to them.
func unmark(s string) string {
	if !strings.ContainsRune(s, contactMark) && !strings.ContainsRune(s, nameMark) {
		return s
	}
	var kept []string
	for word := range strings.FieldsSeq(s) {
		if strings.ContainsRune(word, contactMark) || strings.ContainsRune(word, nameMark) {
			for len(kept) > 0 && isDangling(kept[len(kept)-1]) {
				kept = kept[:len(kept)-1]
			}
			word = strings.Map(func(r rune) rune {
				if r == contactMark || r == nameMark {
					return -1
				}
				return r
			}, word)
			if !strings.ContainsFunc(word, isWord) {
				continue
			}
		}
		kept = append(kept, word)
	}
	return strings.Join(kept, " ")
}

func isDangling(word string) bool {
	for _, d := range dangling {
		if strings.EqualFold(word, d) {
			return true
		}
	}
	return false
}

// clip cuts a text at a word so that it has at most n code points.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	at := 0
	for i := range s {
		if n == 0 {
			at = i
			break
		}
		n--
	}
	if space := strings.LastIndexByte(s[:at], ' '); space > at/2 {
		at = space
	}
	return strings.TrimRight(s[:at], " ,.;:")
}
