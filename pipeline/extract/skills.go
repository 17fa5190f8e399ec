package extract

import "strings"

// demanding marks a sentence that says what one must know or be.
var demanding = []string{
	"erfaring", "uddannet", "uddannelse", "kørekort", "certifikat", "kendskab", "kompetence", "autoriser", "kvalifikation", "krav", "du er ", "du har ", "du kan ", "kan begå dig", "baggrund", "svendebrev", "bevis", "flair", "evne",
	"forudsæt", "behersker", "godkendt", "vant til", "lyst til", "sprog", "gerne", "øje for", "experience", "degree", "knowledge", "skills", "er en fordel", "et plus", "nødvendig", "fyldt 18", "kandidat",
}

func isDemand(lower string) bool {
	for _, word := range demanding {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

// proofs end the words for what one can show: "truckkørekort", "hygiejnebevis".
var proofs = []string{"kørekort", "certifikat", "bevis", "svendebrev", "autorisation", "certificering", "godkendelse", "legitimation"}

// tools are programs and methods that say what work it is, as written.
const tools = ` SAP Excel AutoCAD Revit SolidWorks Inventor Photoshop InDesign Illustrator Figma Java Python TypeScript JavaScript React Kubernetes Azure AWS Linux SQL .NET Navision e-conomic
 Cura Nexus KMD Aula HACCP CNC TIG MIG PLC Sundhedsplatformen Salesforce HubSpot Dynamics Docker C# C++ PHP Git Jira Dalux Uniconta Dinero Lean GMP ISO `

// proofsIn adds to found the proofs and tools that a text names and found does not.
func proofsIn(found []string, text string) []string {
	seen := map[string]bool{}
	for _, s := range found {
		for word := range strings.FieldsSeq(s) {
			seen[strings.Trim(word, ".,:;!?()")] = true
		}
	}
	for word := range strings.FieldsSeq(text) {
		word = strings.Trim(word, ".,:;!?()\"»«/")
		if len(word) < 3 || len(word) > 40 {
			continue
		}
		ok := (startsUpper(word) || word == "e-conomic" || word[0] == '.') && strings.Contains(tools, " "+word+" ")
		if !ok {
			lower := strings.ToLower(word)
			for _, proof := range proofs {
				if base := strings.TrimSuffix(strings.TrimSuffix(lower, "er"), "et"); strings.HasSuffix(lower, proof) || strings.HasSuffix(base, proof) {
					ok, word = true, lower
					break
				}
			}
		}
		if ok && !seen[word] && !strings.ContainsRune(word, contactMark) && !strings.ContainsRune(word, nameMark) {
			seen[word] = true
			found = append(found, word)
		}
	}
	return found
}
