package gliner2

import (
	"context"
	"errors"
	"fmt"
	"math"

	"jobstrom/models"
)

// Classify returns the probabilities of labels for each text, [texts, labels]; those of a text sum to 1. Nothing is trained: labels are read, as entities' are. Those of a
// long text are the mean of its chunks', weighted by the words that are theirs.
//
// It is the task that GLiNER2ONNXRuntime.classify names "category", with one label for a text.
func (m *Model) Classify(ctx context.Context, texts, labels []string) ([][]float32, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	probabilities, err := m.classify(ctx, texts, labels)
	if err != nil {
		return nil, fmt.Errorf("classifying %d texts by %d labels: %w", len(texts), len(labels), err)
	}
	return probabilities, nil
}

func (m *Model) classify(ctx context.Context, texts, labels []string) ([][]float32, error) {
	if m.closed {
		return nil, ErrClosed
	}
	if len(labels) == 0 {
		return nil, errors.New("there are no labels: give those to choose from")
	}
	names, named := make([]Label, len(labels)), map[string]bool{}
	for i, l := range labels {
		if err := checkLabel(fmt.Sprintf("label %d", i+1), l, named); err != nil {
			return nil, err
		}
		names[i].Name = l
	}
	p, err := newPrompt(m.pieces, m.card.SpecialTokens, taskClasses, models.TokenClass, names)
	if err != nil {
		return nil, err
	}
	documents, rows, err := m.readAll(ctx, p, texts)
	if err != nil {
		return nil, err
	}
	if err := m.each(ctx, rows, func(ctx context.Context, batch []*row) error { return m.classes(ctx, p, batch) }); err != nil {
		return nil, err
	}
	probabilities := make([][]float32, len(texts))
	for i, d := range documents {
		sum, words := make([]float64, len(labels)), 0
		for _, r := range d.rows {
			weight := max(1, r.chunk.owned-r.chunk.first)
			words += weight
			for l, p := range r.classes {
				sum[l] += float64(weight) * float64(p)
			}
		}
		probabilities[i] = make([]float32, len(labels))
		for l := range sum {
			probabilities[i][l] = float32(sum[l] / float64(words))
		}
	}
	return probabilities, nil
}

// classes computes the probabilities of a batch.
func (m *Model) classes(ctx context.Context, p prompt, batch []*row) error {
	return m.encode(ctx, batch, func(h hidden) error {
		n := len(p.labels)
		logits, err := m.classifier.values(ctx, []input{floats(h.gather(len(batch), p.labels...), len(batch)*n, h.dim)}, len(batch)*n, 1)
		if err != nil {
			return err
		}
		for r, row := range batch {
			row.classes = softmax(logits[r*n : (r+1)*n])
		}
		return nil
	})
}

func softmax(logits []float32) []float32 {
	most := logits[0]
	for _, v := range logits {
		most = max(most, v)
	}
	out := make([]float32, len(logits))
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v - most))
	}
	for i, v := range logits {
		out[i] = float32(math.Exp(float64(v-most)) / sum)
	}
	return out
}
