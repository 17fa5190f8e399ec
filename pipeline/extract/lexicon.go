package extract

import (
	_ "embed"
	"strings"
)

//go:embed first_names.txt
var firstNames string

//go:embed brands.txt
var brands string

// How much a first name says on its own.
type certainty byte

const (
	unknown   certainty = iota
	month               // August: always needs a cue
	ambiguous           // Bo: at the start of a sentence it needs a cue
	certain
)

// lexicon is what the name rules know.
type lexicon struct {
	first  map[string]certainty
	brands map[string]bool
	words  map[string]wordClass

	orgEndings, surnames, titles []string // how such words end
}

// wordClass says what a word means beside a name.
type wordClass byte

const (
	orgWord   wordClass = 1 << iota // follows a name that belongs to a firm or place: "Group"
	orgPrefix                       // precedes such a name: "Hotel"
	personCue                       // precedes a person: "kontakt"
	sureCue                         // precedes a person and nothing else: "fru"
	titleWord                       // is what a person is: "direktør"
	particle                        // stands inside a name: "von"
)

const (
	orgWords = `Group Copenhagen Denmark Danmark Kaffe Gymnasium Gymnasiet Skole Skolen Friskole Seminarium Apotek Kirke Kirken Bro Fonden Fond
		Institut Instituttet Institute Hotel Transport Kulturhus Kulturcenter Bøfhus Bazaar Kommune Region Gruppen Holding Service Byg Rengøring Revision
		Teknik Maskinfabrik Smedeteknik Storcenter Center Centret Centeret Bryghus Bageri Auto Automobiler El VVS Invest Pharma Energi Energy Møbler Klinik Klinikken
		Hospital Sygehus Museum Museet Universitet University Universitetet College Akademi Højskole Efterskole Efterskolen Plejehjem Plejecenter Børnehave Børnehus
		Vej Gade Allé Plads Boulevard Torv Park Parken Have Haven Hus Huset Sø Fjord Havn Slot Gård Gaard Kro Kroen Consult Consulting Design Mode Tøj Sko Damask Foods Food
		Travel Rejser Biler Maskiner Entreprise Entreprenør Advokater Advokatfirma Arkitekter Ejendomme Bolig Shipping Logistik Logistics Trading Import Export Data Software Systems Solutions
		Technologies Tech Robotics Stift Sogn Provsti Menighedsråd Prisen Cup Stadion Arena Festival Forlag Medier Media Radio Avis Bank Sparekasse Forsikring Brug Food Bio Biotech Laboratorium Collection`
	orgPrefixes = `Hotel Café Cafe Restaurant Kong Dronning Kronprins Kronprinsesse Prins Prinsesse Sankt Sct Skt St Fonden Foreningen Firmaet Butik Salon Klinik Børnehuset
		Børnehaven Vuggestuen Skolen Friskolen Plejehjemmet Plejecenter Bostedet Opholdsstedet Kirken Galleri Bageriet Brdr Brødrene Søstrene Chr Slagter Team Hos Region Danske Dansk
		Projekt Villa Gården Kroen Selskabet Rederiet Advokatfirmaet Tandlægerne Lægerne Lægehuset Møbelhuset Byggefirmaet Sparekassen`
	personCues = `kontakt kontakte kontakter kontaktes ring ringe tal tale taler att attention spørg spørge skriv skrive hilsen mvh vh kh hilsner til efter med hos hos til ved om af
		v fang træffe træffes hedder navn er kontaktperson kontaktpersoner spørgsmål henvendelse ansøger ansøgeren leder chef oplysninger vejleder underskrevet partner indehaver siger fx`
	sureCues   = `hr fru frk fr hedder familien dr prof kontaktperson kontaktpersoner att`
	titleWords = `direktør chef leder mester konsulent koordinator ansvarlig præst læge tandlæge sygeplejerske rektor formand forkvinde inspektør sekretær partner advokat
		repræsentant vejleder medarbejder assistent lærer pædagog mægler ejer disponent indehaver fuldmægtig professor specialist rådgiver terapeut lektor provst ingeniør arkitekt
		kok stifter founder manager supervisor værkfører formand tømrer smed montør frisør bogholder controller stedfortræder kollega makker gårdejer landmand dyrlæge apoteker planlægger
		administrator talsmand næstformand kaptajn styrmand maskinmester dommer skipper kone mand søn datter bror søster overlæge ph.d`
	particles = `von van der den de af la du da di dos el al bin ibn ter ten zu`
)

func newLexicon() *lexicon {
	l := &lexicon{first: map[string]certainty{}, brands: map[string]bool{}, words: map[string]wordClass{},
		orgEndings: strings.Fields(orgEndings), surnames: strings.Fields(surnames), titles: strings.Fields(titleWords)}
	for line := range strings.Lines(firstNames) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '*':
			l.first[line[1:]] = ambiguous
		case line[0] == '!':
			l.first[line[1:]] = month
		default:
			l.first[line] = certain
		}
	}
	for line := range strings.Lines(brands) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			l.brands[line] = true
		}
	}
	add := func(words string, class wordClass) {
		for w := range strings.FieldsSeq(words) {
			l.words[w] |= class
		}
	}
	add(orgWords, orgWord)
	add(orgPrefixes, orgPrefix)
	add(personCues, personCue)
	add(sureCues, sureCue|personCue)
	add(titleWords, titleWord)
	add(particles, particle)
	return l
}

// orgEndings end the names of firms and places, surnames is how many Danish and foreign surnames end.
const (
	orgEndings = `huset skolen hjemmet hallen gruppen centret centeret center afdelingen kontoret service teamet kommune foreningen firmaet klinikken butikken kirken selskabet
		fabrikken værket gården institut universitet hospitalet sygehus bank byg teknik transport revision vikar banken pladsen parken fonden forbundet skole kassen`
	surnames = `sen gaard gård bæk bech beck berg bjerg holm lund skov dahl dal strup toft vig by feldt feld son ski ska cki cka czyk vić vic ić ov ova ev ova ez ian oğlu oglu
		stedt sted rup holt borg bo bro kjær kær mark strøm ström kvist gren nielsson krog høj hus thal thorup ager lev løv skjold kilde rud wad vad vang riis friis møller poulsen schmidt schou
		winther winter bruun brandt bonde kruse krogh juhl juul frost lind koch vind bak brix buch busk falk fischer fogh friis hald hvid iversen johnsen kofoed lauge munk munch nygaard ravn rask
		rohde skytte smith steen storm svane thomsen voss wolff wind worm ahmed ali khan hussain`
)

// looksOrg tells whether a capitalised word is part of a firm's or a place's name.
func (l *lexicon) looksOrg(word string) bool {
	return l.words[word]&(orgWord|orgPrefix) != 0 || endsWithAny(strings.ToLower(word), l.orgEndings)
}

// looksTitle tells whether a word says what a person is, as a whole or as the last part of a compound.
func (l *lexicon) looksTitle(word string) bool {
	lower := strings.ToLower(word)
	return l.words[lower]&titleWord != 0 || endsWithAny(lower, l.titles)
}

// endsWithAny tells whether word ends with one of the suffixes.
func endsWithAny(word string, suffixes []string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(word, suffix) {
			return true
		}
	}
	return false
}

// certaintyOf looks a capitalised word up: the name itself, in the genitive, or the first part of a double name.
func (l *lexicon) certaintyOf(word string) (c certainty, genitive bool) {
	if c := l.first[word]; c != unknown {
		return c, false
	}
	if base, ok := strings.CutSuffix(word, "s"); ok {
		base = strings.TrimRight(base, "'’")
		if c := l.first[base]; c != unknown {
			return c, true
		}
	}
	if head, tail, ok := strings.Cut(word, "-"); ok && startsUpper(tail) {
		if c, _ := l.certaintyOf(head); c != unknown {
			if t, g := l.certaintyOf(tail); t != unknown {
				return certain, g
			}
			return c, false
		}
	}
	return unknown, false
}
