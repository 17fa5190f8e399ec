package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"

	"jobstrom/bench/figures"
	"jobstrom/bench/vacancies"
	"jobstrom/models"
	"jobstrom/pipeline/embed"
)

const (
	// programBytes is what a process may take beside the model's file.
	programBytes = 300e6
	// growthBytes is what it may grow by in the second half of the texts.
	growthBytes = 10e6
	// memorySamples is how often resident memory is read.
	memorySamples = 20
	// fed is how many texts are embedded in a call, as a batch of the embed stage.
	fed = 64

	childMemory = "memory"
)

// memoryLine is the child's resident memory after so many texts.
type memoryLine struct {
	Texts int     `json:"texts"`
	Bytes float64 `json:"bytes"`
}

// memory measures a process that embeds, after it is warm and over a long time.
func (b *bench) memory(ctx context.Context) error {
	cmd, err := b.command(ctx, childMemory)
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var lines []memoryLine
	for decoder := json.NewDecoder(out); ; {
		var l memoryLine
		if err := decoder.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("reading resident memory: %w", err)
		}
		lines = append(lines, l)
		figures.Note("memory: %.1f MB after %d texts", l.Bytes/1e6, l.Texts)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("embedding %d texts: %w", b.options.texts, err)
	}
	if len(lines) < 1+memorySamples {
		return fmt.Errorf("embedding %d texts: resident memory was read %d times, not %d", b.options.texts, len(lines), 1+memorySamples)
	}
	model, err := modelBytes(b.encoder.ModelDir)
	if err != nil {
		return err
	}
	figures.Note("memory: the model's files have %.1f MB; warm after %d vacancies", model/1e6, warmVacancies)
	figures.AtMost("resident memory, warm / model file and 300 MB", lines[0].Bytes/(model+programBytes), 1)
	var texts, bytes []float64
	for _, l := range lines[1+memorySamples/2:] {
		texts, bytes = append(texts, float64(l.Texts)), append(bytes, l.Bytes)
	}
	_, slope := stat.LinearRegression(texts, bytes, nil, false)
	half := float64(lines[len(lines)-1].Texts) / 2
	figures.Note("memory: %.2f MB in the second half by the slope of %d readings; least %.1f, most %.1f MB", slope*half/1e6, len(bytes), figures.Quantile(bytes, 0)/1e6, figures.Quantile(bytes, 1)/1e6)
	figures.AtMost(fmt.Sprintf("growth of resident memory in the second half of %d texts / 10 MB", b.options.texts), slope*half/growthBytes, 1)
	return nil
}

// modelBytes is the size of what the graph is loaded from.
func modelBytes(dir string) (float64, error) {
	card, err := models.Verify(dir)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, f := range append([]models.File{card.Graph}, card.External...) {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f.Name)))
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return float64(sum), nil
}

// warmVacancies have natural lengths: the largest sub-batches decide what ONNX Runtime keeps.
const warmVacancies = 330

// remember is the child: it embeds vacancies to be warm, then short texts that differ, and reads its memory now and then.
func remember(ctx context.Context, o options) error {
	encoder, err := embed.New(o.encoder)
	if err != nil {
		return err
	}
	defer encoder.Close()
	warm, err := vacancies.Distinct(warmVacancies)
	if err != nil {
		return err
	}
	var texts []string
	words := map[string]bool{}
	for _, v := range warm {
		texts = append(texts, v.Title+"\n"+v.Text)
		for _, w := range strings.Fields(v.Title) {
			words[w] = true
		}
	}
	if err := embedAll(ctx, encoder, texts); err != nil {
		return err
	}
	report := func(n int) error {
		bytes, err := resident()
		if err != nil {
			return err
		}
		return say(memoryLine{n, bytes})
	}
	if err := report(0); err != nil {
		return err
	}
	short := shortTexts(words)
	for i, done := 1, 0; i <= memorySamples; i++ {
		for end := i * o.texts / memorySamples; done < end; {
			n := min(fed, end-done)
			texts = texts[:0]
			for range n {
				texts = append(texts, short())
			}
			if err := embedAll(ctx, encoder, texts); err != nil {
				return err
			}
			done += n
		}
		if err := report(done); err != nil {
			return err
		}
	}
	return nil
}

func embedAll(ctx context.Context, e *embed.Encoder, texts []string) error {
	for len(texts) > 0 {
		n := min(fed, len(texts))
		if _, err := e.Embed(ctx, texts[:n]); err != nil {
			return err
		}
		texts = texts[n:]
	}
	return nil
}

// shortTexts returns what makes texts of one to three words, the same ones in every run.
func shortTexts(of map[string]bool) func() string {
	words := slices.Sorted(maps.Keys(of))
	random := rand.New(rand.NewPCG(1, 1))
	return func() string {
		text := words[random.IntN(len(words))]
		for range random.IntN(3) {
			text += " " + words[random.IntN(len(words))]
		}
		return text
	}
}
