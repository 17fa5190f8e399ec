package warehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Origin says who answered a vacancy.
type Origin string

// The origins. OriginAll is a choice of both, never that of a row.
const (
	OriginStream Origin = "stream"
	OriginAPI    Origin = "api"
	OriginAll    Origin = "all"
)

// streamRows chooses what came by the flow.
const streamRows = "origin = 'stream'"

// Origins lists what may be chosen.
func Origins() []Origin { return []Origin{OriginStream, OriginAPI, OriginAll} }

// Validate refuses what is none; empty is the stream.
func (o Origin) Validate() error {
	if o != "" && !slices.Contains(Origins(), o) {
		return fmt.Errorf("origin %q must be %s, %s or %s", string(o), OriginStream, OriginAPI, OriginAll)
	}
	return nil
}

// View names the view that holds what embeddings, predictions or history hold of the stream.
func (o Origin) View(name string) string {
	switch o {
	case OriginAPI, OriginAll:
		return string(o) + "_" + name
	}
	return name
}

// apiEmbedding and apiPrediction are rows of what the API answered. Those of the stream leave the column to its default.
type apiEmbedding struct {
	EmbeddingRow
	Origin string `ch:"origin"`
}

type apiPrediction struct {
	PredictionRow
	Origin string `ch:"origin"`
}

// InsertAPI inserts what the API answered, a block for each table. Drift counts none of it, so no hour is touched.
func (w *Warehouse) InsertAPI(ctx context.Context, embeddings []EmbeddingRow, predictions []PredictionRow) error {
	e, p := make([]apiEmbedding, len(embeddings)), make([]apiPrediction, len(predictions))
	for i, row := range embeddings {
		e[i] = apiEmbedding{row, string(OriginAPI)}
	}
	for i, row := range predictions {
		p[i] = apiPrediction{row, string(OriginAPI)}
	}
	return errors.Join(insert(ctx, w, "embedding_rows", e), insert(ctx, w, "prediction_rows", p))
}
