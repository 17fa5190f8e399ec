package extract

import "strings"

const (
	danishWords  = " og at det er en til på af som med for der vi du dig har ikke et den de os kan skal vil fra eller hos din vores "
	englishWords = " the and of to in a is for with you we our are your as will on be have or an at this that from "
)

// language guesses "da" or "en" by function words; "" when there are too few of them.
func language(text string) string {
	da, en, words := 0, 0, 0
	for word := range strings.FieldsSeq(text) {
		if words++; words > 300 {
			break
		}
		if len(word) > 5 {
			continue
		}
		word = " " + strings.ToLower(strings.Trim(word, ".,:;!?()")) + " "
		if strings.Contains(danishWords, word) {
			da++
		}
		if strings.Contains(englishWords, word) {
			en++
		}
	}
	switch {
	case da > en && da*20 >= words && da > 1:
		return "da"
	case en > da && en*20 >= words && en > 1:
		return "en"
	}
	return ""
}
