// Package extract turns a vacancy into what the encoder reads: occupations, tasks and skills, free of personal data.
//
// It works by rules for Danish advertisements and needs no model. Personal data (CPR numbers, e-mail addresses, URLs, phone
// numbers, street addresses, names of persons) is located on the cleaned source text before anything is extracted, what overlaps
// it is cut, and every string that leaves the package is scanned once more. Names are found by lexicon and context: most, never
// all. The package does no I/O, keeps no state between vacancies and is safe for concurrent use.
package extract
