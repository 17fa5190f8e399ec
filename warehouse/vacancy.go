package warehouse

import (
	"context"
	"fmt"
	"time"
)

// States of a vacancy.
const (
	VacancyClassified = "classified"
	VacancyRefused    = "refused"
	VacancyErased     = "erased"
)

// VacancyState is what the database knows of a vacancy that came by the flow, as it was published last.
type VacancyState struct {
	// State is one of the states above, or empty when the vacancy is not known.
	State string
	// Prediction is what was said of a classified vacancy last.
	Prediction *PredictionRow
	// Refusal is the letter of a refused one.
	Refusal *DeadLetterRow
	// Label is the newest, nil when nobody gave one.
	Label *LabelRow
	// At is the raw record's time, of an erased vacancy that of its tombstone.
	At time.Time
}

// ReadVacancy returns what became of a vacancy: what happened to its last record counts, so a record that is classified after a replay is not refused any more. A
// vacancy of which there is a label alone is not known, but has the label.
func (w *Warehouse) ReadVacancy(ctx context.Context, id string) (VacancyState, error) {
	v, err := w.readVacancy(ctx, id)
	if err != nil {
		return VacancyState{}, fmt.Errorf("reading what became of a vacancy: %w", diagnose(Explain(err), w.options))
	}
	return v, nil
}

func (w *Warehouse) readVacancy(ctx context.Context, id string) (VacancyState, error) {
	var v VacancyState
	erased, err := w.ReadErased(ctx, []string{id})
	if err != nil {
		return v, err
	}
	// Tables instead of views: the index on vacancy_id finds the rows, and erased ones are left out here.
	var predictions []PredictionRow
	err = w.conn.Select(ctx, &predictions, `SELECT raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, model, encoder, category_index, category, confidence, probabilities,
			occupations, skills, tasks, truncated, published_at, classified_at
		FROM prediction_rows WHERE vacancy_id = ? AND `+streamRows+` ORDER BY received_at DESC, classified_at DESC, raw_offset DESC`, id)
	if err != nil {
		return v, err
	}
	for i, p := range predictions {
		if !erased.Has(id, p.TopicID, p.Partition, p.Offset) {
			v.State, v.Prediction, v.At = VacancyClassified, &predictions[i], p.ReceivedAt
			break
		}
	}
	var letters []DeadLetterRow
	err = w.conn.Select(ctx, &letters, `SELECT raw_topic_id, raw_partition, raw_offset, received_at, refused_topic, refused_partition, refused_offset, stage, class, reason, vacancy_id, failed_at,
			letter_partition, letter_offset, attempts, toString(model) AS model, toString(version) AS version, replays
		FROM deadletter_rows WHERE vacancy_id = ? AND stage != 'sink' ORDER BY received_at DESC, failed_at DESC`, id)
	if err != nil {
		return v, err
	}
	for i, l := range letters {
		if erased.Has(id, l.TopicID, l.Partition, l.Offset) {
			continue
		}
		if v.Prediction == nil || l.ReceivedAt.After(v.At) || l.Coordinates == v.Prediction.Coordinates && l.FailedAt.After(v.Prediction.ClassifiedAt) {
			v = VacancyState{State: VacancyRefused, Refusal: &letters[i], At: l.ReceivedAt}
		}
		break
	}
	if v.State == "" && len(erased) > 0 {
		erasures, err := w.ReadErasures(ctx, []string{id})
		if err != nil {
			return v, err
		}
		v.State = VacancyErased
		for _, e := range erasures {
			if e.ErasedAt.After(v.At) {
				v.At = e.ErasedAt
			}
		}
		return v, nil
	}
	var labels []LabelRow
	err = w.conn.Select(ctx, &labels, `SELECT label_topic_id, label_partition, label_offset, received_at, vacancy_id, category_index, category, source, labelled_at
		FROM label_rows WHERE vacancy_id = ? ORDER BY labelled_at DESC, received_at DESC, label_topic_id DESC, label_partition DESC, label_offset DESC`, id)
	for i, l := range labels {
		if !erased.Has(id, l.TopicID, l.Partition, l.Offset) {
			v.Label = &labels[i]
			break
		}
	}
	return v, err
}
