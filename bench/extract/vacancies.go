package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"jobstrom/samples"
)

// vacancies returns so many texts of exactly so many words, one sample after the other, again from the first when they run out.
func vacancies(n, words int) ([]string, error) {
	var all []string
	for d := json.NewDecoder(samples.Vacancies()); ; {
		var v struct{ Text string }
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading the samples: %w", err)
		}
		all = append(all, strings.Fields(v.Text)...)
	}
	texts := make([]string, n)
	for i := range texts {
		text := make([]string, words)
		for k := range text {
			text[k] = all[(i*words+k)%len(all)]
		}
		texts[i] = strings.Join(text, " ")
	}
	return texts, nil
}
