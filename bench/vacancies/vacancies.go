// Package vacancies makes more vacancies of the samples than there are.
package vacancies

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"jobstrom/producers"
	"jobstrom/samples"
	"jobstrom/schemas"
)

// Distinct returns n vacancies whose texts differ: the samples, then each with the title of another of its category, so that lengths stay what they are.
func Distinct(n int) ([]*schemas.Vacancy, error) {
	var all []*schemas.Vacancy
	categories := map[string][]*schemas.Vacancy{}
	err := producers.Read(samples.Vacancies(), "samples", producers.JSONL, producers.ReadOptions{}, func(_ int, v *schemas.Vacancy) error {
		all, categories[v.Category] = append(all, v), append(categories[v.Category], v)
		return nil
	}, func(bad *producers.BadLine) { err := fmt.Errorf("reading samples: %v", bad); panic(err) })
	if err != nil {
		return nil, err
	}
	place := map[*schemas.Vacancy]int{}
	most := 0
	for _, of := range categories {
		for i, v := range of {
			place[v] = i
		}
		if most == 0 || len(of) < most {
			most = len(of)
		}
	}
	if n > most*len(all) {
		return nil, fmt.Errorf("vacancies (%d) must be at most %d: %d titles for each of %d samples", n, most*len(all), most, len(all))
	}
	made := make([]*schemas.Vacancy, n)
	for i := range made {
		sample, turn := all[i%len(all)], i/len(all)
		of := categories[sample.Category]
		v := proto.Clone(sample).(*schemas.Vacancy)
		v.Title, v.Id = of[(place[sample]+turn)%len(of)].Title, fmt.Sprintf("%s-%d", sample.Id, turn)
		v.Category = "" // labels are no part of the flow
		made[i] = v
	}
	return made, nil
}
