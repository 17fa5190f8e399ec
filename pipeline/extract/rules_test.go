package extract

import (
	"strings"
	"testing"

	"jobstrom/schemas"
)

func TestHeadingOf(t *testing.T) {
	f := func(line string, want section) {
		t.Helper()
		if got, ok := headingOf(line); !ok || got != want {
			t.Errorf("%q: got section %d (%v), want %d", line, got, ok, want)
		}
	}
	f("Dine opgaver", duties)
	f("ARBEJDSOPGAVER:", duties)
	f("Dine kerneopgaver", duties)
	f("Som nattevagt hos os", duties)
	f("Vi forventer, at du", demands)
	f("Om dig", demands)
	f("Kvalifikationer:", demands)
	f("Vi tilbyder", terms)
	f("Du får", terms)
	f("Du får ansvar for", duties)
	f("Om os", firm)
	if got, ok := headingOf("Myretuen"); ok {
		t.Errorf("Myretuen: got section %d, want none", got)
	}
}

func TestSentences(t *testing.T) {
	f := func(line string, want ...string) {
		t.Helper()
		if got := sentences(line); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q:\n got %q\nwant %q", line, got, want)
		}
	}
	f("")
	f("En. To! Tre?", "En.", "To!", "Tre?")
	f("Start kl. 7 pr. 1. Maj eller d. 3. Juni.", "Start kl. 7 pr. 1. Maj eller d. 3. Juni.")
	f("Vi bruger f.eks. Excel. Du kan det.", "Vi bruger f.eks. Excel.", "Du kan det.")
}

func TestOccupations(t *testing.T) {
	lexicon := newTitles(&schemas.Taxonomy{Categories: []schemas.Category{{Titles: []string{"smed", "kok", "sygeplejerske", "key account manager", "pædagog"}}}})
	f := func(title, text string, want ...string) {
		t.Helper()
		if got := lexicon.occupations(title, parse(text)); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q, %q: got %q, want %q", title, text, got, want)
		}
	}
	f("Kok", "", "kok")
	f("Vedligeholdssmed til slagteri", "", "vedligeholdssmed")
	f("To klejnsmede", "", "klejnsmed")
	f("Kan du?", "Vi søger sygeplejersker til natten.", "sygeplejerske")
	f("Kan du?", "Du arbejder som key account manager.", "key account manager")
	f("Kok", "Vi søger også en skolepædagog.", "kok", "skolepædagog")
	f("Kok", "Vi giver løn.\n\nVi tilbyder\n- uddannelse som smed", "kok")
	f("Chef", "Vi søger en sygeplejerske "+string(nameMark)+" til natten")
	f("", "")

	empty := newTitles(&schemas.Taxonomy{})
	if got := empty.occupations("Kok", nil); got != nil {
		t.Errorf("without titles: got %q, want none", got)
	}
}

func TestCleanTitle(t *testing.T) {
	f := func(title, want string) {
		t.Helper()
		if got := cleanTitle(title); got != want {
			t.Errorf("%q: got %q, want %q", title, got, want)
		}
	}
	f("Bogholder, 25-30 timer", "Bogholder")
	f("Pædagog til vuggestue", "Pædagog til vuggestue")
	f("Familiebehandlere søges til opgaver på Fyn", "Familiebehandlere til opgaver på Fyn")
	f("Elektriker (m/k) søges snarest", "Elektriker")
	f("Kok, deltid", "Kok")
	f("", "")
}

func TestItem(t *testing.T) {
	f := func(sentence, want string) {
		t.Helper()
		if got := item(sentence); got != want {
			t.Errorf("%q: got %q, want %q", sentence, got, want)
		}
	}
	f("Du skal løse opgaver.", "løse opgaver")
	f("At kunne læse tegninger;", "kunne læse tegninger")
	f("Aflever det til "+string(nameMark)+" på lageret", "Aflever det på lageret")
	f("- 12 -", "")
	f(strings.Repeat("ord ", 100), strings.TrimSpace(strings.Repeat("ord ", 40)))
}

func TestLanguage(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := language(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	f("Vi søger en kok til vores køkken, og du skal have lyst til at lave mad.", "da")
	f("We are looking for a chef to join our team in the kitchen.", "en")
	f("Kok Odense", "")
	f("", "")
}
