package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"jobstrom/capacity"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/schemas"
)

// writeMeasured measures what a vacancy costs each stage here and writes it for jobstrom plan. What only a whole flow shows, Kafka's and ClickHouse's part, is that of the built-in
// figures, in proportion to the vacancies' and the vectors' length.
func (a *app) writeMeasured(ctx context.Context, file string, all []*schemas.Vacancy, texts []string, best embed.Tuned) error {
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err != nil {
		return err
	}
	bytes := 0
	for _, v := range all {
		record, err := schemas.Encode(schemas.JSON, v)
		if err != nil {
			return fmt.Errorf("measuring vacancies: %w", err)
		}
		bytes += len(record)
	}
	standard := capacity.BuiltIn()
	m := standard.With(float64(bytes) / float64(len(all)))
	m.Machine = fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	m.Version, m.Provider, m.Vacancies = version, a.config.Provider, len(all)
	m.Encoder, m.EncoderID, m.Dimensions = card.Name, card.ID, card.Dim
	if m.EmbedMS, err = a.embedMS(ctx, texts, best); err != nil {
		return err
	}
	if m.ExtractMS, err = a.extractMS(ctx, all); err != nil {
		return err
	}
	if m.ClassifyMS, err = a.classifyMS(ctx, card, standard); err != nil {
		return err
	}
	// A float more has 4 bytes on the topic and in each table, and 2 more in the index.
	more := float64(card.Dim - standard.Dimensions)
	m.EmbeddedBytes, m.EmbeddingRowBytes, m.SimilarRowBytes = standard.EmbeddedBytes+4*more, standard.EmbeddingRowBytes+4*more, standard.SimilarRowBytes+6*more
	m.IndexRowBytes = standard.IndexRowBytes + 2*more
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing what was measured: %w", err)
	}
	if err := m.Write(file); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "written to %s: %d vacancies of %.0f bytes; milliseconds of a processor for each: extract %.2f, embed %.1f, classify %.3f\n", file, m.Vacancies, m.VacancyBytes, m.ExtractMS, m.EmbedMS, m.ClassifyMS)
	return nil
}

// batchMeasured is how many a stage is given at once while it is measured.
const batchMeasured = 64

// embedMS measures the encoder with these settings, in milliseconds a text.
func (a *app) embedMS(ctx context.Context, texts []string, best embed.Tuned) (float64, error) {
	o := a.config.embedOptions()
	o.CacheBytes, o.Threads, o.Workers, o.BatchTokens = 0, best.Threads, best.Workers, best.BatchTokens
	encoder, err := embed.New(o)
	if err != nil {
		return 0, err
	}
	defer encoder.Close()
	batches := slices.Collect(slices.Chunk(texts, batchMeasured))
	return perItem(ctx, len(batches), func(i int) (int, error) {
		_, err := encoder.Embed(ctx, batches[i%len(batches)])
		return len(batches[i%len(batches)]), err
	})
}

// extractMS measures extraction, in milliseconds a vacancy.
func (a *app) extractMS(ctx context.Context, all []*schemas.Vacancy) (float64, error) {
	extractor, err := a.extractor(nil, false)
	if err != nil {
		return 0, err
	}
	defer extractor.Close()
	batches := slices.Collect(slices.Chunk(all, batchMeasured))
	return perItem(ctx, len(batches), func(i int) (int, error) {
		batch := batches[i%len(batches)]
		_, err := extractor.Extract(ctx, batch)
		return len(batch), err
	})
}

// classifyMS measures classification by the default classifier of an encoder, in milliseconds a vector; for an encoder without one it is the standard's, in proportion to the length of vectors.
func (a *app) classifyMS(ctx context.Context, card models.EncoderCard, standard capacity.Measured) (float64, error) {
	c, err := classify.DefaultModel(card.ID)
	if err != nil {
		return standard.ClassifyMS * float64(card.Dim) / float64(standard.Dimensions), nil
	}
	classifier, err := classify.New(c, schemas.Jobnet(), a.config.classifyOptions())
	if err != nil {
		return 0, err
	}
	vectors := make([][]float32, batchMeasured)
	for i := range vectors {
		vectors[i] = make([]float32, card.Dim)
		vectors[i][i%card.Dim] = 1
	}
	return perItem(ctx, 1, func(int) (int, error) {
		_, err := classifier.Classify(card.ID, vectors)
		return len(vectors), err
	})
}

// perItem runs so many batches at least, and for a second, and returns the milliseconds of a processor that an item of them takes: what this process spent, so that others on the
// machine count little.
func perItem(ctx context.Context, least int, batch func(i int) (items int, err error)) (float64, error) {
	if _, err := batch(0); err != nil { // what is made once is not measured
		return 0, err
	}
	start, before, items := time.Now(), processTime(), 0
	for i := 0; i < least || time.Since(start) < time.Second; i++ {
		n, err := batch(i)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, err
		}
		items += n
	}
	return (processTime() - before).Seconds() * 1000 / float64(items), nil
}

// processTime is what processors, user's and system's time, this process has taken so far.
func processTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic("jobstrom: getrusage of the process itself: " + err.Error()) // it fails on a bad address only
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
