package consumers

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// Batches of the stages: what one transaction holds. Embedding is slow, so its batches are small enough to stay under a second.
const (
	extractBatch  = 512
	EmbedBatch    = 64
	classifyBatch = 512
)

// Extract is the first stage: from raw vacancies to extractions. The raw topic's id completes the coordinates it writes.
// A tombstone goes on to every topic that may hold something of its vacancy.
func Extract(x *extract.Extractor, raw kafka.TopicID) Stage {
	return Stage{Name: "extract", From: kafka.Raw, Topic: raw, To: kafka.Extracted, Batch: extractBatch, Answer: func(ctx context.Context, in []*kgo.Record) ([]Answer, error) {
		answers := make([]Answer, len(in))
		vacancies, place := []*schemas.Vacancy{}, []int{}
		for i, r := range in {
			if kafka.IsErasure(r) {
				place := kafka.Identity(r, raw)
				answers[i].Record = kafka.ForwardErasure(kafka.Extracted, r, place)
				answers[i].Also = []*kgo.Record{kafka.ForwardErasure(kafka.Labels, r, place), kafka.ForwardErasure(kafka.DeadLetter, r, place)}
				continue
			}
			v, err := schemas.DecodeVacancy(kafka.Header(r, kafka.ContentType), r.Value)
			if err != nil {
				answers[i].Err = err
				continue
			}
			if v.PublishedAt == nil {
				v.PublishedAt = schemas.Time(kafka.Identity(r, raw).Time)
			}
			vacancies, place = append(vacancies, v), append(place, i)
		}
		results, err := x.Extract(ctx, vacancies)
		if err != nil {
			return nil, err
		}
		for k, result := range results {
			r := in[place[k]]
			answers[place[k]] = answer(result.Extraction, result.Err, vacancies[k].Id, schemas.Protobuf, kafka.Identity(r, raw))
		}
		return answers, nil
	}}
}

// Encoder turns texts into vectors, one each, in order. *embed.Encoder is the one; chaos and benchmarks put a faster one in its place.
type Encoder interface {
	Card() models.EncoderCard
	Embed(ctx context.Context, texts []string) ([]embed.Vector, error)
}

// Embed is the second stage: from extractions to vectors.
func Embed(e Encoder) Stage {
	id := e.Card().ID
	return Stage{Name: "embed", From: kafka.Extracted, To: kafka.Embedded(id), Batch: EmbedBatch, Model: func() string { return id }, Answer: func(ctx context.Context, in []*kgo.Record) ([]Answer, error) {
		answers, extractions, place := decodeAll(in, func() *schemas.Extraction { return &schemas.Extraction{} })
		texts := make([]string, len(extractions))
		for k, x := range extractions {
			texts[k] = x.message.Text
		}
		vectors, err := e.Embed(ctx, texts)
		if err != nil {
			return nil, err
		}
		for k, x := range extractions {
			embedding := &schemas.Embedding{Extraction: x.message, Vector: vectors[k].Values, Encoder: id, Tokens: uint32(vectors[k].Tokens), Truncated: vectors[k].Truncated}
			answers[place[k]] = answer(embedding, nil, x.message.Id, schemas.Protobuf, x.coordinates)
		}
		return answers, nil
	}}
}

// ChallengerName is the version in the header of what challengers answered; a reprocessing has its own name there.
const ChallengerName = "challenger"

// Classify is the third stage: from vectors to categories. Between two batches it takes over the live classifier. What challengers answer goes to
// vacancies.shadow in the same transaction; what one of them cannot answer it lacks there, and the flow does not mind.
func Classify(live *classify.Live, taxonomy *schemas.Taxonomy, encoder string) Stage {
	names := taxonomy.Names()
	model := func() string {
		if c := live.Load(); c != nil {
			return c.Model()
		}
		return ""
	}
	return Stage{Name: "classify", From: kafka.Embedded(encoder), To: kafka.Classified, Batch: classifyBatch, Model: model, Answer: func(_ context.Context, in []*kgo.Record) ([]Answer, error) {
		classifier := live.Load()
		if classifier == nil { // it comes when one is trained and promoted; until then the encoder's vectors wait
			return nil, fmt.Errorf("%w: %w", ErrTemporary, pipeline.ErrNoClassifier)
		}
		challengers := live.Challengers()
		answers, embeddings, place := decodeAll(in, func() *schemas.Embedding { return &schemas.Embedding{} })
		now := schemas.Time(time.Now())
		for k, e := range embeddings {
			m, a := e.message, &answers[place[k]]
			ask := func(c *classify.Classifier) Answer {
				predictions, err := c.Classify(m.Encoder, [][]float32{m.Vector})
				if err != nil {
					return Answer{Err: err}
				}
				classification := pipeline.Classification(m.GetExtraction(), predictions[0], names, c.Model(), m.Encoder)
				classification.Truncated, classification.ClassifiedAt = m.Truncated, now
				return answer(classification, nil, classification.Id, schemas.JSON, e.coordinates)
			}
			if *a = ask(classifier); a.Err != nil {
				continue
			}
			for _, c := range challengers {
				if shadow := ask(c).Record; shadow != nil {
					shadow.Topic, shadow.Headers = kafka.Shadow, append(shadow.Headers, kgo.RecordHeader{Key: kafka.Version, Value: []byte(ChallengerName)})
					a.Also = append(a.Also, shadow)
				}
			}
		}
		return answers, nil
	}}
}

// item is a decoded record of an inner topic.
type item[M proto.Message] struct {
	message     M
	coordinates kafka.Coordinates
}

// decodeAll decodes a batch; tombstones, which go on as they came, and what cannot be decoded are answered already, place says where the others stand.
func decodeAll[M proto.Message](in []*kgo.Record, empty func() M) (answers []Answer, items []item[M], place []int) {
	answers = make([]Answer, len(in))
	for i, r := range in {
		if kafka.IsErasure(r) {
			if coordinates, err := kafka.CoordinatesOf(r); err != nil {
				answers[i].Err = fmt.Errorf("%w tombstone: %w: jobstrom erase writes to every topic", schemas.ErrMalformed, err)
			} else {
				answers[i].Record = kafka.ForwardErasure("", r, coordinates) // the runner names the topic
			}
			continue
		}
		it, err := decode(r, empty())
		if err != nil {
			answers[i].Err = err
			continue
		}
		items, place = append(items, it), append(place, i)
	}
	return answers, items, place
}

func decode[M proto.Message](r *kgo.Record, message M) (item[M], error) {
	if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, message); err != nil {
		return item[M]{}, err
	}
	coordinates, err := kafka.CoordinatesOf(r)
	if err != nil {
		return item[M]{}, fmt.Errorf("%w: %w", schemas.ErrMalformed, err)
	}
	return item[M]{message, coordinates}, nil
}

// answer encodes a message as a stage's answer.
func answer(m proto.Message, err error, key, contentType string, coordinates kafka.Coordinates) Answer {
	if err != nil {
		return Answer{Err: err}
	}
	value, err := schemas.Encode(contentType, m)
	if err != nil {
		return Answer{Err: err}
	}
	return Answer{Record: &kgo.Record{Key: []byte(key), Value: value, Headers: coordinates.Headers(contentType)}}
}
