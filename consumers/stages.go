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

// Batches of the stages: what is answered at once at most. A worker takes fewer where that takes longer than answerTime, as embedding does on processors.
const (
	extractBatch  = 512
	embedBatch    = 512
	classifyBatch = 512
)

// Extract is the first stage: from raw vacancies to extractions. The raw topic's id completes the coordinates it writes.
// A tombstone goes on to every topic that may hold something of its vacancy.
func Extract(x *extract.Extractor, raw kafka.TopicID) Stage {
	stage := Stage{Name: "extract", From: kafka.Raw, Topic: raw, To: kafka.Extracted, Batch: extractBatch, Answer: func(ctx context.Context, in []*kgo.Record) ([]Answer, error) {
		answers := make([]Answer, len(in))
		vacancies, place := []*schemas.Vacancy{}, []int{}
		for i, r := range in {
			if kafka.IsErasure(r) {
				place := kafka.Identity(r, raw)
				answers[i].Record = kafka.ForwardErasure(kafka.Extracted, r, place)
				for _, topic := range []string{kafka.Labels, kafka.DeadLetter, kafka.APIPredictions} {
					answers[i].Also = append(answers[i].Also, kafka.ForwardErasure(topic, r, place))
				}
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
			if made := answers[place[k]].Record; made != nil && kafka.Replays(r) > 0 {
				kafka.SetRawPlace(made, r.Offset)
			}
		}
		return answers, nil
	}}
	if id := x.Identity(); id != string(extract.Rules) {
		stage.Model = func() string { return id }
	}
	return stage
}

// Encoder turns texts into vectors, one each, in order. *embed.Encoder is the one; chaos and benchmarks put a faster one in its place.
type Encoder interface {
	Card() models.EncoderCard
	Embed(ctx context.Context, texts []string) ([]embed.Vector, error)
}

// Embed is the second stage: from extractions to vectors. Every encoder embeds every vacancy.
func Embed(e Encoder) Stage {
	id := e.Card().ID
	return Stage{Name: "embed", Encoder: id, From: kafka.Extracted, To: kafka.Embedded(id), Batch: embedBatch, Model: func() string { return id }, Answer: func(ctx context.Context, in []*kgo.Record) ([]Answer, error) {
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
			x.message.Entities = nil // nobody behind here reads them, and they are as long as the text
			embedding := &schemas.Embedding{Extraction: x.message, Vector: vectors[k].Values, Encoder: id, Tokens: uint32(vectors[k].Tokens), Truncated: vectors[k].Truncated}
			answers[place[k]] = answer(embedding, nil, x.message.Id, schemas.Protobuf, x.coordinates)
		}
		return answers, nil
	}}
}

// ChallengerName is the version in the header of what challengers answered, and the champion of an encoder that another answers for; a reprocessing has its own name there.
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
	return Stage{Name: "classify", Encoder: encoder, From: kafka.Embedded(encoder), To: kafka.Classified, Batch: classifyBatch, Model: model, Unowned: shadowed, Answer: func(_ context.Context, in []*kgo.Record) ([]Answer, error) {
		classifier := live.Load()
		if classifier == nil { // it comes when one is trained and promoted; until then the encoder's vectors wait
			return nil, fmt.Errorf("%w: %w", ErrTemporary, pipeline.ErrNoClassifier)
		}
		challengers := live.Challengers()
		answers, embeddings, place := decodeAll(in, func() *schemas.Embedding { return &schemas.Embedding{} })
		now := schemas.Time(time.Now())
		ask := func(c *classify.Classifier, of []item[*schemas.Embedding]) []Answer {
			predictions, errs := predictEach(c, of)
			said := make([]Answer, len(of))
			for i, e := range of {
				if errs[i] != nil {
					said[i] = Answer{Err: errs[i]}
					continue
				}
				classification := pipeline.Classification(e.message.GetExtraction(), predictions[i], names, c.Model(), e.message.Encoder)
				classification.Truncated, classification.ClassifiedAt = e.message.Truncated, now
				said[i] = answer(classification, nil, classification.Id, schemas.JSON, e.coordinates)
			}
			return said
		}
		var good []item[*schemas.Embedding]
		var at []int
		for k, a := range ask(classifier, embeddings) {
			if answers[place[k]] = a; a.Err == nil {
				good, at = append(good, embeddings[k]), append(at, place[k])
			}
		}
		for _, c := range challengers {
			for i, a := range ask(c, good) {
				answers[at[i]].Also = append(answers[at[i]].Also, shadowed(a).Also...)
			}
		}
		return answers, nil
	}}
}

// shadowed turns an answer for consumers into one for comparison. A tombstone goes on as it is: every encoder forwards it behind what it answered of the vacancy.
func shadowed(a Answer) Answer {
	if a.Record != nil && !kafka.IsErasure(a.Record) {
		shadow := a.Record
		shadow.Topic, shadow.Headers = kafka.Shadow, append(shadow.Headers, kgo.RecordHeader{Key: kafka.Version, Value: []byte(ChallengerName)})
		a.Record, a.Also = nil, append(a.Also, shadow)
	}
	return a
}

// predictEach returns a prediction or an error for each embedding. A classifier takes all vectors or none: when it refuses them, it is asked
// about each alone.
func predictEach(c *classify.Classifier, of []item[*schemas.Embedding]) ([]classify.Prediction, []error) {
	errs, vectors, same := make([]error, len(of)), make([][]float32, len(of)), true
	for i, e := range of {
		vectors[i], same = e.message.Vector, same && e.message.Encoder == c.Encoder()
	}
	if same {
		if predictions, err := c.Classify(c.Encoder(), vectors); err == nil {
			return predictions, errs
		}
	}
	predictions := make([]classify.Prediction, len(of))
	for i, e := range of {
		one, err := c.Classify(e.message.Encoder, vectors[i:i+1])
		if errs[i] = err; err == nil {
			predictions[i] = one[0]
		}
	}
	return predictions, errs
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
