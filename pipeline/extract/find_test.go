package extract

import (
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	s := NewScrubber()
	f := func(text string, want ...string) {
		t.Helper()
		var got []string
		for _, sp := range s.Find(text) {
			got = append(got, string(sp.Kind)+" "+text[sp.Start:sp.End])
		}
		if strings.Join(got, " | ") != strings.Join(want, " | ") {
			t.Errorf("%q:\n got %q\nwant %q", text, got, want)
		}
	}

	// CPR numbers: every separator, every century.
	f("cpr 240785-2316.", "cpr 240785-2316")
	f("cpr 240785–2316", "cpr 240785–2316")
	f("cpr 240785 2316", "cpr 240785 2316")
	f("nr 2407852316", "cpr 2407852316")
	f("290200-4136", "cpr 290200-4136")                // 2000 is a leap year
	f("290200-1136")                                   // 1900 is none
	f("300485-2316 og 310485-2316", "cpr 300485-2316") // April has 30 days
	f("010157-5000", "cpr 010157-5000")
	f("P-nr. 1012283746")
	f("24240785-23161")

	// E-mail addresses.
	f("Skriv til maria_og_niels@bageriet-paa-hjornet.com, tak", "email maria_og_niels@bageriet-paa-hjornet.com")
	f("formand@golfklubbenhøjbjerget.dk.", "email formand@golfklubbenhøjbjerget.dk")
	f("kok (at) kroen.dk", "email kok (at) kroen.dk")
	f("60 @ 40 kr.")

	// URLs.
	f("(se https://a.dk/x?y=1#z).", "url https://a.dk/x?y=1#z")
	f("WWW.FIRMA.DK!", "url WWW.FIRMA.DK")
	f("på firma.dk/job?id=3, tak", "url firma.dk/job?id=3")
	f("C#, ASP.NET og Node.js samt stud.jur. mv.")
	f("Dagen er slut.De andre går.")

	// Phone numbers: every spacing.
	for _, number := range []string{
		"22314456", "22 31 44 56", "2231 4456", "22.31.44.56", "22-31-44-56", "223 14 456", "22 314 456", "22 31 44 56", "22 31 44 56",
		"+45 22314456", "+4522314456", "(+45) 22 31 44 56", "0045 22 31 44 56", "0045-22314456", "+45 2231 4456", "45 22 31 44 56", "+46 70 123 45 67",
	} {
		f("Ring "+number+" i dag", "phone "+number)
	}
	f("22 31 44 56 / 33 44 55 66", "phone 22 31 44 56", "phone 33 44 55 66")
	f("CVR 29 18 84 51, CVR-nr. 30715233")
	f("2024-2026 og 2019–2025 samt 2019 2025")
	f("15-09-2026, 21.09.2026 og 2026-09-21")
	f("32.500 kr., 52.000-58.000 kr., 25382000 kr. og kr. 25382000")
	f("Stillings-ID 45871236, ordrenr. 70214455, vare 31880926, EAN 5798009811578")
	f("kl. 22.30-06.00 og 14.30-23.00")
	f("vores kontor på 97 42 18 60", "phone 97 42 18 60")

	// Street addresses.
	f("Vestergade 12, st. th., 5000 Odense C, kl. 7", "address Vestergade 12, st. th., 5000 Odense C")
	f("på Gl. Kongevej 60, 1850 Frederiksberg C.", "address Gl. Kongevej 60, 1850 Frederiksberg C")
	f("på H.C. Andersens Boulevard 27 i dag", "address H.C. Andersens Boulevard 27")
	f("Sdr. Ringvej 4B, 2. tv., 7100 Vejle", "address Sdr. Ringvej 4B, 2. tv., 7100 Vejle")
	f("på Skovbakken 4-6 den 3. maj", "address Skovbakken 4-6")
	f("Aftensang 4, 6040 Egtved", "address Aftensang 4, 6040 Egtved")
	f("Præstegårdsvej 3, Hjortbjerg, 8883 Gjern", "address Præstegårdsvej 3, Hjortbjerg, 8883 Gjern")
	f("Butikken ligger på Algade og ved motorvej 45. Rute 15, Vandparken 12 medarbejdere")

	// Names of persons.
	f("Kontakt Mette Krogsgaard på kontoret", "name Mette Krogsgaard")
	f("Ring til Jens Hansen for mere", "name Jens Hansen")
	f("hos Henrik von Rosen", "name Henrik von Rosen")
	f("att. Jørgen P. Sandbæk, her", "name Jørgen P. Sandbæk")
	f("Svend-Erik og Rikkes hold", "name Svend-Erik", "name Rikkes")
	f("Spørg efter fru Winther", "name Winther")
	f("Kontakt direktør Ozgul Brandkjær", "name Ozgul Brandkjær") // in no lexicon
	f("KONTAKT METTE HANSEN", "name METTE HANSEN")
	f("Hilsen\nXerxa Ungermark", "name Xerxa Ungermark")
	f("Lærer Björn Åkerström stopper. Spørg efter Björn.", "name Björn Åkerström", "name Björn")
	f("Hans eller hendes opgave. Per 1. januar. Tage ansvar. I maj og August. Bo tæt på skov. Dan dig et overblik.")
	f("Georg Jensen, Carl Hansen & Søn, Lars Larsen Group, Jensens Bøfhus og Arne Jacobsen-stole")
	f("Sct. Jørgens Apotek, Hotel Kong Arthur og Kronprins Frederiks Bro")
}

func TestFindKeepsTheEmployer(t *testing.T) {
	s := NewScrubber()
	f := func(text, employer, want string) {
		t.Helper()
		if got, _ := s.Remove(text, employer); got != want {
			t.Errorf("%q of %q:\n got %q\nwant %q", text, employer, got, want)
		}
	}
	f("Hos Mette Bang søger vi en frisør", "Mette Bang ApS", "Hos Mette Bang søger vi en frisør")
	f("Kontakt Mette Bang Holm", "Holm A/S", "Kontakt ")
}

func TestRemove(t *testing.T) {
	s := NewScrubber()
	f := func(text, want string, items int) {
		t.Helper()
		got, n := s.Remove(text)
		if got != want || n != items {
			t.Errorf("%q: got %q and %d items, want %q and %d", text, got, n, want, items)
		}
	}
	f("", "", 0)
	f("Vi søger en kok.", "Vi søger en kok.", 0)
	f("Ring til Ole på 22 31 44 56 nu", "Ring til på nu", 2)
	f("22 31 a@b.dk 44 56", "", 2) // the cut brings a number together
}
