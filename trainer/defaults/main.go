// Command defaults makes the classifier that comes with the program for an encoder.
//
// It takes the names, job titles and tasks of the categories and labelled vacancies, chooses by cross-validation,
// prints how good the classifier is, and writes it where the program embeds it. The same encoder, categories
// and vacancies give the same bytes.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

func main() {
	encoder := flag.String("encoder", "", "folder of the encoder; empty: the default encoder")
	out := flag.String("out", "pipeline/classify", "folder of the package that embeds the classifier; empty: only report")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: defaults [flags] FILE...\n\nFILE holds labelled vacancies, one JSON object a line.")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Args(), *encoder, *out); err != nil {
		fmt.Fprintln(os.Stderr, "defaults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, paths []string, encoderDir, out string) error {
	taxonomy := schemas.Jobnet()
	var samples []trainer.Sample
	for _, path := range paths {
		more, err := readSamples(ctx, path, taxonomy)
		if err != nil {
			return err
		}
		samples = append(samples, more...)
	}
	encoder, err := embed.New(embed.Options{ModelDir: encoderDir})
	if err != nil {
		return err
	}
	defer encoder.Close()
	c, report, err := trainer.Default(ctx, trainer.DefaultOptions{
		Embed: func(ctx context.Context, texts []string) ([][]float32, error) {
			vectors, err := encoder.Embed(ctx, texts)
			values := make([][]float32, len(vectors))
			for i, v := range vectors {
				values[i] = v.Values
			}
			return values, err
		},
		Encoder: encoder.Card().ID, Taxonomy: taxonomy, Samples: samples, Seed: 1,
	})
	if err != nil {
		return err
	}
	fmt.Print(report.Text(taxonomy.Names()))
	data, err := models.EncodeClassifier(c)
	if err != nil || out == "" {
		return err
	}
	path := filepath.Join(out, classify.DefaultPath(encoder.Card().ID))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("writing the classifier: %w", err)
	}
	fmt.Printf("\nwrote %s: %d rows, %d bytes, model %s\n", path, models.Rows(c), len(data), c.Id)
	return nil
}

// readSamples reads labelled vacancies and extracts them as the pipeline does.
func readSamples(ctx context.Context, path string, taxonomy *schemas.Taxonomy) ([]trainer.Sample, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading samples: %w", err)
	}
	extractor, err := extract.New(extract.Options{Taxonomy: taxonomy})
	if err != nil {
		return nil, err
	}
	var vacancies []*schemas.Vacancy
	var samples []trainer.Sample
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for n := 1; lines.Scan(); n++ {
		v, err := schemas.DecodeVacancy(schemas.JSON, lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("reading samples: %s line %d: %w", path, n, err)
		}
		category, err := taxonomy.Find(v.Category)
		if err != nil {
			return nil, fmt.Errorf("reading samples: %s line %d: %w", path, n, err)
		}
		vacancies = append(vacancies, v)
		samples = append(samples, trainer.Sample{Category: category.Index, Employer: v.Employer})
	}
	results, err := extractor.Extract(ctx, vacancies)
	if err != nil {
		return nil, fmt.Errorf("extracting samples: %w", err)
	}
	for i, r := range results {
		if r.Err != nil {
			return nil, fmt.Errorf("extracting samples: %s line %d: %w", path, i+1, r.Err)
		}
		samples[i].Text = r.Extraction.Text
	}
	return samples, nil
}
