package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/warehouse"
)

// Config holds every setting. A setting has one name: that of its flag.
type Config struct {
	Data           string        `koanf:"data"`
	Brokers        []string      `koanf:"brokers"`
	KafkaPort      int           `koanf:"kafka-port"`
	Partitions     int           `koanf:"partitions"`
	Replication    int           `koanf:"replication"`
	Workers        int           `koanf:"workers"`
	GroupProtocol  string        `koanf:"group-protocol"`
	Static         bool          `koanf:"static-membership"`
	CommitInterval time.Duration `koanf:"commit-interval"`
	WorkerBytes    int           `koanf:"worker-bytes"`
	Transaction    time.Duration `koanf:"transaction-timeout"`
	ClickHouse     []string      `koanf:"clickhouse"`
	Database       string        `koanf:"clickhouse-database"`
	User           string        `koanf:"clickhouse-user"`
	ClickHousePort int           `koanf:"clickhouse-port"`
	ClickHouseHTTP int           `koanf:"clickhouse-http-port"`
	Retention      time.Duration `koanf:"retention"`
	HTTP           string        `koanf:"http"`
	MetricsAddress string        `koanf:"metrics-address"`
	Encoder        string        `koanf:"encoder"`
	Library        string        `koanf:"onnxruntime"`
	Provider       string        `koanf:"provider"`
	Engine         string        `koanf:"chdb"`
	Threads        int           `koanf:"threads"`
	EmbedWorkers   int           `koanf:"embed-workers"`
	BatchTokens    int           `koanf:"batch-tokens"`
	EmbedCache     string        `koanf:"embed-cache"`
	EmbedReuse     bool          `koanf:"embed-reuse"`
	Prior          string        `koanf:"prior"`
	Attributes     []string      `koanf:"attributes"`
	LogLevel       string        `koanf:"log-level"`
	LogFormat      string        `koanf:"log-format"`
	Security       `koanf:",squash"`
	Drift          `koanf:",squash"`
	Hub            `koanf:",squash"`
	Extraction     `koanf:",squash"`
	Access         `koanf:",squash"`
	Telemetry      `koanf:",squash"`
	Tables         `koanf:",squash"`
}

// configFile is read from the working directory when --config names no other.
const configFile = "jobstrom.yaml"

// addFlags declares the settings with their defaults.
func addFlags(f *pflag.FlagSet) {
	f.String("config", "", "settings `file` (default "+configFile+" in the working directory, when there is one)")
	f.String("data", "var", "`folder` of the embedded Kafka's and ClickHouse's data")
	f.StringSlice("brokers", nil, "`addresses` of a Kafka cluster; none starts the embedded one")
	f.Int("kafka-port", 9092, "`port` of the embedded Kafka")
	f.Int("partitions", 4, "partitions of topics that are created; fixed for the life of a flow")
	f.Int("replication", -1, "replication factor of topics that are created; -1 takes the broker's default")
	f.Int("workers", 2, "workers of each stage in this process: one computes while another commits")
	f.String("group-protocol", "auto", "consumer group `protocol`: auto, classic (a killed worker's partitions move after 6 s) or consumer (KIP-848: the broker sets that time)")
	f.Bool("static-membership", false, "keep a worker's partitions over a restart; those of one that is gone for good rest for the session timeout")
	f.Duration("commit-interval", 100*time.Millisecond, "longest `time` a busy worker gathers for one transaction: longer is more throughput, later answers and more to repeat after a crash")
	f.Int("worker-bytes", 32<<20, "`bytes` of records a worker holds at most, 1 MiB to 1 GiB")
	f.Duration("transaction-timeout", 30*time.Second, "`time` after which Kafka aborts a silent worker's transaction; the worker gives itself a third")
	f.StringSlice("clickhouse", nil, "native `addresses` of ClickHouse; none starts the embedded one")
	f.String("clickhouse-database", "jobstrom", "`database` in ClickHouse")
	f.String("clickhouse-user", "default", "ClickHouse `user`")
	f.Int("clickhouse-port", 9000, "native `port` of the embedded ClickHouse")
	f.Int("clickhouse-http-port", 8123, "HTTP `port` of the embedded ClickHouse")
	f.Duration("retention", 0, "`time` that ClickHouse keeps rows, counted from when their vacancy was received, like 8760h; 0 keeps them")
	f.String("http", "127.0.0.1:8080", "`address` of the web page and the API")
	f.String("metrics-address", "", "`address` of /healthz, /readyz and /metrics of a process without web page, like 0.0.0.0:9400; none serves them at --http alone")
	f.String("encoder", "", "`folder` of the encoder (default the one that make setup converts)")
	f.String("onnxruntime", "", "ONNX Runtime's shared `library` (default the one that make setup fetches)")
	f.String("provider", string(onnx.CPU), "what ONNX Runtime computes vectors `with`: cpu, cuda, coreml or openvino; the library must have it")
	f.String("chdb", "", "ClickHouse's shared `library` libchdb.so (default the one that make setup fetches, else clickhouse on PATH)")
	f.Int("threads", 1, "threads that work on one batch of texts; jobstrom bench tune finds this and the next two")
	f.Int("embed-workers", 0, "batches of texts that are embedded at once; 0 is one for each processor, divided by the threads")
	f.Int("batch-tokens", 512, "tokens of a batch of texts at most, padding included; a longer text goes alone")
	f.String("embed-cache", "64MiB", "`bytes` of vectors to keep of texts that were embedded last, so that what is published again is not embedded again; 0 keeps none")
	f.Bool("embed-reuse", false, "take vectors of texts that were embedded before from ClickHouse: a re-run of history embeds nothing twice")
	f.String("prior", "", "class `prior`: trained (default) or uniform")
	f.StringSlice("attributes", nil, "publishers' attributes to keep, `names`; all others are dropped")
	f.String("log-level", "warn", "debug, info, warn or error")
	f.String("log-format", "text", "text or json")
	addSecurityFlags(f)
	addDriftFlags(f)
	addHubFlags(f)
	addExtractionFlags(f)
	addAccessFlags(f)
	addTelemetryFlags(f)
	addTablesFlags(f)
}

// runnerOptions returns what the settings say of the stages' workers.
func (c Config) runnerOptions() consumers.RunnerOptions {
	return consumers.RunnerOptions{
		Workers: c.Workers, Protocol: c.GroupProtocol, Static: c.Static,
		CommitInterval: c.CommitInterval, MaxBytes: c.WorkerBytes, TransactionTimeout: c.Transaction,
	}
}

// loadConfig joins defaults, file, environment and flags, and validates the whole.
func loadConfig(flags *pflag.FlagSet) (Config, error) {
	k := koanf.New("\x00") // names hold no path: a setting is one name
	if err := loadFile(k, flags); err != nil {
		return Config{}, err
	}
	environment := env.Provider("\x00", env.Opt{Prefix: "JOBSTROM_", TransformFunc: func(name, value string) (string, any) {
		name = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "JOBSTROM_")), "_", "-")
		flag := flags.Lookup(name)
		if flag == nil || name == "config" {
			return "", nil // JOBSTROM_NATIVE and the like are not settings
		}
		if flag.Value.Type() == "stringSlice" {
			return name, strings.Split(value, ",")
		}
		return name, value
	}})
	if err := k.Load(environment, nil); err != nil {
		return Config{}, fmt.Errorf("reading the environment: %w", err)
	}
	if err := k.Load(posflag.Provider(settings(flags), "\x00", k), nil); err != nil {
		return Config{}, fmt.Errorf("reading flags: %w", err)
	}
	var c Config
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{Tag: "koanf", DecoderConfig: &mapstructure.DecoderConfig{
		Result: &c, TagName: "koanf", WeaklyTypedInput: true, ErrorUnused: true, DecodeHook: mapstructure.ComposeDecodeHookFunc(secretsAreText, mapstructure.StringToTimeDurationHookFunc()),
	}})
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	return c, c.Validate()
}

func loadFile(k *koanf.Koanf, flags *pflag.FlagSet) error {
	path, _ := flags.GetString("config")
	if path == "" {
		if _, err := os.Stat(configFile); err != nil {
			return nil
		}
		path = configFile
	}
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return fmt.Errorf("reading the configuration from %s: %w", path, err)
	}
	return nil
}

// settings returns the flags that are settings; a subcommand's own are not.
func settings(all *pflag.FlagSet) *pflag.FlagSet {
	declared, kept := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(declared)
	all.VisitAll(func(f *pflag.Flag) {
		if declared.Lookup(f.Name) != nil && f.Name != "config" {
			kept.AddFlag(f)
		}
	})
	return kept
}

// Validate reports every violation with name, value and bound.
func (c Config) Validate() error {
	var wrong []error
	check := func(ok bool, format string, values ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, values...))
		}
	}
	for name, port := range map[string]int{"kafka-port": c.KafkaPort, "clickhouse-port": c.ClickHousePort, "clickhouse-http-port": c.ClickHouseHTTP} {
		check(port >= 0 && port <= 65535, "%s (%d) must be 0 to 65535", name, port)
	}
	for name, addresses := range map[string][]string{"brokers": c.Brokers, "clickhouse": c.ClickHouse, "http": {c.HTTP}} {
		for _, a := range addresses {
			_, _, err := net.SplitHostPort(a)
			if strings.Contains(a, "@") { // what stands before it may be a password
				check(false, "%s must be host:port, without a user", name)
			} else {
				check(err == nil, "%s (%s) must be host:port", name, a)
			}
		}
	}
	if c.MetricsAddress != "" {
		_, _, err := net.SplitHostPort(c.MetricsAddress)
		check(err == nil, "metrics-address (%s) must be host:port", c.MetricsAddress)
	}
	check(c.Data != "", "data must name a folder")
	check(c.Retention == 0 || c.Retention >= time.Hour, "retention (%s) must be 0 or at least 1h0m0s", c.Retention)
	check(c.Partitions >= 1 && c.Partitions <= 10000, "partitions (%d) must be 1 to 10000", c.Partitions)
	check(c.Replication == -1 || c.Replication >= 1 && c.Replication <= 32, "replication (%d) must be -1 or 1 to 32", c.Replication)
	if err := c.runnerOptions().Validate(); err != nil {
		wrong = append(wrong, err)
	}
	check(c.Threads >= 1 && c.Threads <= 1024, "threads (%d) must be 1 to 1024", c.Threads)
	check(c.EmbedWorkers >= 0 && c.EmbedWorkers <= 1024, "embed-workers (%d) must be 0 to 1024", c.EmbedWorkers)
	check(c.BatchTokens >= 1 && c.BatchTokens <= 1<<20, "batch-tokens (%d) must be 1 to %d", c.BatchTokens, 1<<20)
	if err := onnx.Provider(c.Provider).Validate(); err != nil {
		wrong = append(wrong, err)
	}
	cache, err := humanize.ParseBytes(c.EmbedCache)
	check(err == nil && cache <= 1<<40, "embed-cache (%s) must be bytes like 64MiB, at most 1TiB", c.EmbedCache)
	check(c.Prior == "" || c.Prior == "trained" || c.Prior == "uniform", "prior (%s) must be trained or uniform", c.Prior)
	check(new(slog.Level).UnmarshalText([]byte(c.LogLevel)) == nil, "log-level (%s) must be debug, info, warn or error", c.LogLevel)
	check(c.LogFormat == "text" || c.LogFormat == "json", "log-format (%s) must be text or json", c.LogFormat)
	if err := errors.Join(c.Security.Validate(c.Brokers, c.ClickHouse), c.Drift.Validate(), c.Hub.Validate(), c.Extraction.Validate(), c.Access.Validate(), c.Telemetry.Validate(), c.Tables.Validate(c.ClickHouse, c.Retention)); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("checking the configuration:\n%w", errors.Join(wrong...))
	}
	return nil
}

func (c Config) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // validated
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// embedOptions returns the encoder's options with their defaults. Library is that of the provider, when no other is named; a process has one.
func (c Config) embedOptions() embed.Options {
	cache, _ := humanize.ParseBytes(c.EmbedCache) // validated
	o := embed.Options{
		ModelDir: c.Encoder, Library: c.Library, Provider: onnx.Provider(c.Provider),
		Threads: c.Threads, Workers: c.EmbedWorkers, BatchTokens: c.BatchTokens, CacheBytes: int64(cache),
	}
	o.EnsureDefaults()
	return o
}

func (c Config) classifyOptions() classify.Options { return classify.Options{Prior: c.Prior} }

func (c Config) layout() kafka.Layout {
	return kafka.Layout{Partitions: int32(c.Partitions), Replication: int16(c.Replication)}
}

func (c Config) kafkaOptions(log *slog.Logger) kafka.Options {
	return kafka.Options{Brokers: c.Brokers, TLS: c.kafkaTLS(), SASL: c.kafkaSASL(), Logger: log}
}

func (c Config) warehouseOptions() warehouse.Options {
	return warehouse.Options{
		Addr: c.ClickHouse, Database: c.Database, Username: c.User, Password: c.clickHousePassword(), TLS: c.clickHouseTLS(),
		Retention: warehouse.Retention{Embeddings: c.Retention, Predictions: c.Retention, Labels: c.Retention, DeadLetters: c.Retention, Hot: c.RetentionHot},
		Layout:    c.Tables.layout(),
	}
}

// dataFolder returns a folder in the data folder, absolute, so that a child process finds it too.
func (c Config) dataFolder(name string) (string, error) {
	return filepath.Abs(filepath.Join(c.Data, name))
}
