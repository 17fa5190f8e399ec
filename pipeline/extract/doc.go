// Package extract turns a vacancy into what the encoder reads: occupations, tasks and skills, free of personal data.
//
// It works by rules for Danish advertisements, which need no model, by a GLiNER2 model, or by both. Personal data (CPR numbers, e-mail addresses, URLs, phone
// numbers, street addresses, names of persons) is located on the cleaned source text before anything is extracted, what overlaps
// it is cut, whoever found it, and every string that leaves the package is scanned once more. Names are found by lexicon and context: most, never
// all. The package keeps no state between vacancies, does no I/O and is safe for concurrent use.
package extract
