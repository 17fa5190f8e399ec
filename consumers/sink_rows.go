package consumers

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// add turns a record into a row of the block.
func (s *sink) add(b *block, r *kgo.Record) error {
	if r.Topic == kafka.ModelHistory {
		s.addModelEvent(b, r)
		return nil
	}
	if kafka.IsErasure(r) {
		return s.addErasure(b, r)
	}
	switch r.Topic {
	case s.embedded:
		it, err := decode(r, &schemas.Embedding{})
		if err == nil {
			b.embeddings = append(b.embeddings, embeddingRow(it))
		}
		return err
	case kafka.Classified:
		it, err := decode(r, &schemas.Classification{})
		if err == nil {
			b.predictions = append(b.predictions, predictionRow(it))
		}
		return err
	case kafka.Shadow:
		it, err := decode(r, &schemas.Classification{})
		if err == nil {
			b.shadows = append(b.shadows, warehouse.ShadowRow{Name: kafka.Header(r, kafka.Version), PredictionRow: predictionRow(it)})
		}
		return err
	case kafka.Labels:
		l := &schemas.Label{}
		if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, l); err != nil {
			return err
		}
		if l.Id == "" || l.Category == "" {
			return fmt.Errorf("%w label: id or category is missing", schemas.ErrMalformed)
		}
		place := kafka.Identity(r, s.begin[r.Topic])
		labelled := place.Time
		if l.LabelledAt != nil {
			labelled = l.LabelledAt.AsTime()
		}
		b.labels = append(b.labels, warehouse.LabelRow{
			TopicID: uuid.UUID(place.Topic), Partition: place.Partition, Offset: place.Offset, ReceivedAt: place.Time,
			VacancyID: l.Id, CategoryIndex: uint16(l.CategoryIndex), Category: l.Category, Source: l.Source, LabelledAt: labelled,
		})
		return nil
	case kafka.APIPredictions:
		return s.addAPIPrediction(b, r)
	case kafka.DeadLetter:
		if kafka.Header(r, kafka.ReplayMarker) != "" {
			it, err := decode(r, &schemas.Replay{})
			if err == nil {
				m := it.message
				b.replays = append(b.replays, warehouse.DeadLetterReplayRow{
					Coordinates: coordinates(it.coordinates), ReceivedAt: it.coordinates.Time,
					RefusedTopic: m.Topic, RefusedPartition: m.Partition, RefusedOffset: m.Offset, Stage: m.Stage, ReplayedAt: m.ReplayedAt.AsTime(),
				})
			}
			return err
		}
		it, err := decode(r, &schemas.DeadLetter{})
		if err == nil {
			m := it.message
			b.dead = append(b.dead, warehouse.DeadLetterRow{
				Coordinates: coordinates(it.coordinates), ReceivedAt: it.coordinates.Time,
				RefusedTopic: m.Topic, RefusedPartition: m.Partition, RefusedOffset: m.Offset,
				Stage: m.Stage, Class: m.Class, Reason: m.Reason, FailedAt: m.FailedAt.AsTime(),
				LetterPartition: r.Partition, LetterOffset: r.Offset, Attempts: m.Attempts, Model: m.Model, Version: m.Version, Replays: m.Replays,
				VacancyID: kafka.LetterVacancyID(m),
			})
		}
		return err
	}
	return nil
}

// addAPIPrediction takes what the API answered. Its rows are known by its own place.
func (s *sink) addAPIPrediction(b *block, r *kgo.Record) error {
	m := &schemas.ApiPrediction{}
	if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, m); err != nil {
		return err
	}
	e, c := m.GetEmbedding(), m.GetClassification()
	switch {
	case c.GetId() == "" || c.GetId() != e.GetExtraction().GetId() || c.GetId() != string(r.Key):
		return fmt.Errorf("%w prediction of the API: its key, embedding and classification must be of one vacancy", schemas.ErrMalformed)
	case c.Encoder == "" || c.Encoder != e.Encoder || c.Model == "" || len(e.Vector) == 0 || !finite(e.Vector):
		return fmt.Errorf("%w prediction of the API: encoder, model or vector is missing or wrong", schemas.ErrMalformed)
	case len(m.TextHash) != 0 && len(m.TextHash) != len(warehouse.TextHash{}):
		return fmt.Errorf("%w prediction of the API: text_hash has %d bytes, want 32 or none", schemas.ErrMalformed, len(m.TextHash))
	}
	place := kafka.Identity(r, s.begin[r.Topic])
	row := embeddingRow(item[*schemas.Embedding]{e, place})
	copy(row.TextHash[:], m.TextHash)
	b.apiEmbeddings = append(b.apiEmbeddings, row)
	b.apiPredictions = append(b.apiPredictions, predictionRow(item[*schemas.Classification]{c, place}))
	return nil
}

// addModelEvent takes a line of the models' history. It is no vacancy, so it has no dead letter: what cannot be read is left out.
func (s *sink) addModelEvent(b *block, r *kgo.Record) {
	e := &schemas.ModelEvent{}
	if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, e); err != nil || e.Id == "" {
		s.Logger.Warn("a record is no line of the models' history", "topic", r.Topic, "offset", r.Offset, "error", err)
		return
	}
	c, card := e.GetClassifier(), e.GetClassifier().GetCard()
	b.events = append(b.events, warehouse.ModelEventRow{
		EventID: e.Id, HistoryOffset: kafka.HistoryPlace(r), At: e.At.AsTime(), Action: e.Action, Model: e.Model, Taxonomy: e.Taxonomy, Encoder: e.Encoder, Previous: e.Previous,
		Reason: e.Reason, Version: e.Version,
		TrainedAt: c.GetTrainedAt().AsTime(), TrainedBy: card.GetVersion(), EncoderName: card.GetEncoderName(), Metrics: c.GetMetrics(), Settings: c.GetTraining(),
		HistoryRows: card.GetHistory().GetRows(), HistoryFirst: card.GetHistory().GetFirst().AsTime(), HistoryLast: card.GetHistory().GetLast().AsTime(),
		Temperature: c.GetTemperature(), Prior: c.GetPrior(), BaselineRows: card.GetBaseline().GetRows(), BaselineMean: card.GetBaseline().GetMean(),
		BaselineVariance: card.GetBaseline().GetVariance(), BaselineShares: card.GetBaseline().GetShares(),
	})
}

func coordinates(c kafka.Coordinates) warehouse.Coordinates {
	return warehouse.Coordinates{TopicID: uuid.UUID(c.Topic), Partition: c.Partition, Offset: c.Offset}
}

func embeddingRow(it item[*schemas.Embedding]) warehouse.EmbeddingRow {
	m, x := it.message, it.message.GetExtraction()
	return warehouse.EmbeddingRow{
		Coordinates: coordinates(it.coordinates), ReceivedAt: it.coordinates.Time, VacancyID: x.GetId(), Encoder: m.Encoder, Vector: m.Vector,
		Tokens: m.Tokens, Truncated: m.Truncated, Source: x.GetSource(), Language: x.GetLanguage(), TextLength: x.GetTextLength(), TextHash: warehouse.HashText(x.GetText()),
		EmployerHash: x.GetEmployerHash(), PublishedAt: x.GetPublishedAt().AsTime(), Attributes: x.GetAttributes(),
	}
}

func predictionRow(it item[*schemas.Classification]) warehouse.PredictionRow {
	m := it.message
	return warehouse.PredictionRow{
		Coordinates: coordinates(it.coordinates), ReceivedAt: it.coordinates.Time, VacancyID: m.Id, Model: m.Model, Encoder: m.Encoder,
		CategoryIndex: uint16(m.CategoryIndex), Category: m.Category, Confidence: float32(m.Confidence), Probabilities: m.Probabilities,
		Occupations: m.Occupations, Skills: m.Skills, Tasks: m.Tasks, Truncated: m.Truncated,
		PublishedAt: m.PublishedAt.AsTime(), ClassifiedAt: m.ClassifiedAt.AsTime(),
	}
}
