package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
	"github.com/twmb/franz-go/plugin/kslog"

	"jobstrom/security"
)

// MaxRecordBytes bounds one record: a vacancy's text, escaped as JSON, as the base64 of a dead letter.
const MaxRecordBytes = 12 << 20

// refresh bounds how old the client's view of the cluster is where a younger one is asked for, and how long a broker
// holds a fetch that has nothing to give, which delays all else on the connection. The client's own 5 s would be
// seconds of standstill after a topic is created, a broker is lost or a reader ends.
const refresh = 250 * time.Millisecond

// Options say how to reach a Kafka cluster.
type Options struct {
	// Brokers are seed addresses, host:port. At least one.
	Brokers []string
	// TLS encrypts the connections; SASL says as whom they come.
	TLS  security.TLS
	SASL SASL
	// Frames are put around the values of records that are written; nil leaves them bare. See SchemaRegistry.
	Frames Frames
	// ClientID names this process to the brokers. Default "jobstrom".
	ClientID string
	// Logger receives what the client has to say from warnings upwards. Nil discards.
	Logger *slog.Logger
	// Registerer receives the client's metrics, labelled with ClientID. Nil keeps none.
	Registerer prometheus.Registerer
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.ClientID == "" {
		o.ClientID = "jobstrom"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every violation.
func (o Options) Validate() error {
	var wrong []error
	if len(o.Brokers) == 0 {
		wrong = append(wrong, errors.New("brokers is empty: give at least one host:port"))
	}
	for _, b := range o.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			wrong = append(wrong, fmt.Errorf("broker %q is not host:port", b))
		}
	}
	wrong = append(wrong, o.TLS.Validate("kafka")...)
	return errors.Join(append(wrong, o.SASL.Validate()...)...)
}

// NewClient returns a client of these options and the caller's own. It does not connect; see Reach.
func NewClient(o Options, own ...kgo.Opt) (*kgo.Client, error) {
	opts, err := ClientOptions(o, own...)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(opts...)
}

// ClientOptions returns what every client of ours shares, followed by the caller's own.
func ClientOptions(o Options, own ...kgo.Opt) ([]kgo.Opt, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("configuring Kafka: %w", err)
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...),
		kgo.ClientID(o.ClientID),
		kgo.WithLogger(kslog.New(o.Logger)),
		kgo.ProducerBatchMaxBytes(MaxRecordBytes),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RetryTimeout(30 * time.Second),
		kgo.MetadataMinAge(refresh),
		kgo.FetchMaxWait(refresh),
		kgo.DialTimeout(3 * time.Second),
	}
	secure, err := o.securityOptions()
	if err != nil {
		return nil, fmt.Errorf("configuring Kafka: %w", err)
	}
	opts = append(opts, secure...)
	if len(o.Frames) > 0 {
		opts = append(opts, kgo.WithHooks(o.Frames))
	}
	if o.Registerer != nil {
		// The clients of one process are told apart by a label, or the second could not register.
		labelled := prometheus.WrapRegistererWith(prometheus.Labels{"client": o.ClientID}, o.Registerer)
		opts = append(opts, kgo.WithHooks(kprom.NewMetrics("jobstrom", kprom.Registerer(labelled), kprom.Subsystem("kafka"))))
	}
	return append(opts, own...), nil
}
