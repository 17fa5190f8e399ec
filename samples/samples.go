// Package samples holds Danish sample vacancies: those the default classifier is trained on, and others it has never seen.
//
// No employer is in both. history.jsonl holds more to train on, which is no part of the program: five sets of 8 a
// category, numbered one after another. The planted files list every item of personal data the texts hold, as it reads without markup.
package samples

import (
	"bytes"
	_ "embed"
	"io"
)

//go:embed vacancies.jsonl
var vacancies []byte

//go:embed unseen.jsonl
var unseen []byte

// Vacancies returns the labelled vacancies, among those the default classifier is trained on, as JSONL.
func Vacancies() io.Reader { return bytes.NewReader(vacancies) }

// Unseen returns labelled vacancies that nothing was trained or tuned on, as JSONL.
func Unseen() io.Reader { return bytes.NewReader(unseen) }
