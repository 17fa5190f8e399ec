package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/proto"

	"jobstrom/schemas"
	"jobstrom/security"
)

// SchemaRegistry says how to reach a schema registry of Confluent's kind.
type SchemaRegistry struct {
	// URLs of its servers; the first that answers is used. None means that there is no registry.
	URLs     []string
	User     string
	Password security.Credential
	// TLS is for URLs of https.
	TLS security.TLS
	// Wait bounds how long a registry that is away is waited for, default 30 s.
	Wait time.Duration
	// Logger receives what is tried again. Nil discards.
	Logger *slog.Logger
}

// Validate returns every violation, by the names of the settings.
func (r SchemaRegistry) Validate() []error {
	var wrong []error
	encrypted := true
	for _, u := range r.URLs {
		parsed, err := url.Parse(u)
		switch {
		case err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https":
			wrong = append(wrong, errors.New("schema-registry must be http://host:port or https://host:port"))
		case parsed.User != nil:
			wrong = append(wrong, errors.New("schema-registry must not hold a user: give schema-registry-user and its password"))
		default:
			encrypted = encrypted && parsed.Scheme == "https"
		}
	}
	if err := r.Password.Validate("schema-registry-password"); err != nil {
		wrong = append(wrong, err)
	}
	if len(r.URLs) == 0 && (r.User != "" || !r.Password.IsZero()) {
		wrong = append(wrong, errors.New("schema-registry-user and its password need schema-registry"))
	}
	if (r.User == "") != r.Password.IsZero() {
		wrong = append(wrong, errors.New("schema-registry-user and schema-registry-password need each other"))
	}
	files := r.TLS
	files.Enabled = true
	if wrong = append(wrong, files.Validate("schema-registry")...); (!encrypted || len(r.URLs) == 0) && (files.CA != "" || files.Cert != "") {
		wrong = append(wrong, errors.New("schema-registry-ca and schema-registry-cert need a schema-registry of https"))
	}
	return wrong
}

// Frames put Confluent's wire format around what a client writes: by topic, which content type is framed and with what. It is a hook of the client, so
// that whoever makes records knows nothing of it.
type Frames map[string]frame

type frame struct {
	contentType string
	header      []byte
}

// OnProduceRecordBuffered implements kgo.HookProduceRecordBuffered. Tombstones have no value to frame, and a replayed record keeps its bytes.
func (f Frames) OnProduceRecordBuffered(r *kgo.Record) {
	with, known := f[r.Topic]
	framed := len(r.Value) > 0 && r.Value[0] == 0
	if !known || r.Value == nil || framed || Header(r, ContentType) != with.contentType || Header(r, replayOf) != "" {
		return
	}
	r.Value = append(with.header[:len(with.header):len(with.header)], r.Value...)
}

// Frames registers the schemas of the flow's topics under TOPIC-value. A registry that is away is waited for, with growing pauses. Registering again
// changes nothing. Afterwards the registry may be away. Without URLs there are no frames and no error.
func (r SchemaRegistry) Frames(ctx context.Context, encoder string) (Frames, error) {
	if len(r.URLs) == 0 {
		return nil, nil
	}
	frames, err := r.frames(ctx, encoder)
	if err != nil {
		return nil, fmt.Errorf("registering schemas at %s: %w", strings.Join(r.URLs, ", "), err)
	}
	return frames, nil
}

// Reach asks the registry for what any of its kind knows, and explains why it does not answer.
func (r SchemaRegistry) Reach(ctx context.Context) error {
	client, password, err := r.client()
	if err == nil {
		_, err = client.SupportedTypes(ctx)
	}
	if err != nil {
		return fmt.Errorf("reaching the schema registry at %s: %w", strings.Join(r.URLs, ", "), explainRegistry(err, "", password))
	}
	return nil
}

func (r SchemaRegistry) frames(ctx context.Context, encoder string) (Frames, error) {
	if r.Wait == 0 {
		r.Wait = 30 * time.Second
	}
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	client, password, err := r.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.Wait)
	defer cancel()
	frames := Frames{}
	for topic, is := range map[string]struct {
		contentType string
		message     proto.Message
	}{
		Raw:               {schemas.JSON, &schemas.Vacancy{}},
		Extracted:         {schemas.Protobuf, &schemas.Extraction{}},
		Embedded(encoder): {schemas.Protobuf, &schemas.Embedding{}},
		Classified:        {schemas.JSON, &schemas.Classification{}},
		Shadow:            {schemas.JSON, &schemas.Classification{}},
		APIPredictions:    {schemas.Protobuf, &schemas.ApiPrediction{}},
		Labels:            {schemas.JSON, &schemas.Label{}},
		DeadLetter:        {schemas.JSON, &schemas.DeadLetter{}},
		DriftEvents:       {schemas.JSON, &schemas.DriftEvent{}},
	} {
		text, index, err := schemas.Definition(is.contentType, is.message)
		if err != nil {
			return nil, err
		}
		schema := sr.Schema{Schema: text, Type: sr.TypeJSON}
		if is.contentType == schemas.Protobuf {
			schema.Type = sr.TypeProtobuf
		}
		id, err := r.register(ctx, client, topic+"-value", schema)
		if err != nil {
			return nil, explainRegistry(err, topic+"-value", password)
		}
		header, err := new(sr.ConfluentHeader).AppendEncode(nil, id, index)
		if err != nil {
			return nil, err
		}
		frames[topic] = frame{is.contentType, header}
	}
	return frames, nil
}

func (r SchemaRegistry) client() (*sr.Client, security.Secret, error) {
	transport := r.TLS
	transport.Enabled = strings.HasPrefix(r.URLs[0], "https:")
	config, err := transport.Config()
	if err != nil {
		return nil, "", err
	}
	password, err := r.Password.Read()
	if err != nil {
		return nil, "", err
	}
	opts := []sr.ClientOpt{sr.URLs(r.URLs...), sr.UserAgent("jobstrom")}
	if config != nil {
		opts = append(opts, sr.DialTLSConfig(config))
	}
	if r.User != "" {
		opts = append(opts, sr.BasicAuth(r.User, password.Reveal()))
	}
	client, err := sr.NewClient(opts...)
	return client, password, err
}

// register tries until the registry answers; what it refuses is not tried again.
func (r SchemaRegistry) register(ctx context.Context, client *sr.Client, subject string, schema sr.Schema) (int, error) {
	var before error
	for try := 0; ; try++ {
		id, err := client.RegisterSchema(ctx, subject, schema, -1, -1)
		if err == nil {
			return id, nil
		}
		if ctx.Err() != nil && before != nil {
			return 0, before // says more than that time ran out
		}
		before = err
		var refused *sr.ResponseError
		if errors.As(err, &refused) && refused.StatusCode < 500 && refused.StatusCode != 429 || security.Diagnose(err, "schema-registry") != "" {
			return 0, err
		}
		pause := min(100*time.Millisecond<<min(try, 6), 5*time.Second)
		r.Logger.Warn("the schema registry does not answer, trying again", "subject", subject, "pause", pause, "error", err)
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(pause):
		}
	}
}

// explainRegistry says what is wrong, and never the password, should the registry repeat it.
func explainRegistry(err error, subject string, password security.Secret) error {
	var refused *sr.ResponseError
	said := security.Diagnose(err, "schema-registry")
	switch {
	case said != "":
	case strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		said = "it does not speak TLS there: give its address with http://"
	case !errors.As(err, &refused):
		said = "it does not answer: is it up, is the address right? Without --schema-registry values are written bare"
	case refused.StatusCode == 401:
		said = "it refuses the user: correct --schema-registry-user or the password"
	case refused.StatusCode == 403:
		said = strings.TrimSpace("the user has no right to register " + subject)
	case refused.StatusCode == 409:
		said = "it holds a schema of " + subject + " that ours is not compatible with: who else writes this topic?"
	case refused.StatusCode == 404:
		said = "there is no schema registry at that address"
	default:
		said = fmt.Sprintf("it answers with status %d", refused.StatusCode)
	}
	text := err.Error()
	if password != "" {
		text = strings.ReplaceAll(text, password.Reveal(), password.String())
	}
	return fmt.Errorf("%s: %.500s", said, text)
}
