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
		kgo.WithLogger(quiet{kslog.New(o.Logger)}),
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
		opts = append(opts, kgo.WithHooks(clientMetrics(o)))
	}
	return append(opts, own...), nil
}

// clientMetrics tells the clients of one process apart by a label, or the second could not register.
func clientMetrics(o Options) *kprom.Metrics {
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"client": o.ClientID}, o.Registerer)
	return kprom.NewMetrics("jobstrom", kprom.Registerer(labelled), kprom.Subsystem("kafka"))
}

// RegisterMetrics registers what a client shows when everything has happened to it once, as it shows nothing of what has not: for the list in docs/metrics.md.
func RegisterMetrics(registerer prometheus.Registerer) error {
	o := Options{ClientID: "jobstrom", Registerer: registerer}
	client, err := kgo.NewClient() // it connects to nobody
	if err != nil {
		return err
	}
	defer client.Close()
	m := clientMetrics(o)
	m.OnNewClient(client)
	for _, err := range []error{nil, net.ErrClosed} {
		m.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, err)
		m.OnBrokerE2E(kgo.BrokerMetadata{}, 0, kgo.BrokerE2E{WriteErr: err})
		m.OnBrokerE2E(kgo.BrokerMetadata{}, 0, kgo.BrokerE2E{ReadErr: err})
	}
	m.OnBrokerDisconnect(kgo.BrokerMetadata{}, nil)
	m.OnProduceBatchWritten(kgo.BrokerMetadata{}, Raw, 0, kgo.ProduceBatchMetrics{})
	m.OnFetchBatchRead(kgo.BrokerMetadata{}, Raw, 0, kgo.FetchBatchMetrics{})
	return nil
}

// quiet passes on what the library says for information as debugging: it says it of every transaction.
type quiet struct{ kgo.Logger }

// Log implements kgo.Logger.
func (q quiet) Log(level kgo.LogLevel, message string, values ...any) {
	if level == kgo.LogLevelInfo {
		level = kgo.LogLevelDebug
	}
	q.Logger.Log(level, message, values...)
}
