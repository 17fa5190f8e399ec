package cli

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/security"
)

// Security holds the settings of how other people's Kafka and ClickHouse are come to. Each secret has a twin that names a file of it.
type Security struct {
	KafkaTLS          bool            `koanf:"kafka-tls"`
	KafkaCA           string          `koanf:"kafka-ca"`
	KafkaCert         string          `koanf:"kafka-cert"`
	KafkaKey          string          `koanf:"kafka-key"`
	KafkaServerName   string          `koanf:"kafka-server-name"`
	KafkaSASL         string          `koanf:"kafka-sasl"`
	KafkaUser         string          `koanf:"kafka-user"`
	KafkaPassword     security.Secret `koanf:"kafka-password"`
	KafkaPasswordFile string          `koanf:"kafka-password-file"`
	KafkaToken        security.Secret `koanf:"kafka-token"`
	KafkaTokenFile    string          `koanf:"kafka-token-file"`
	KafkaTokenURL     string          `koanf:"kafka-token-url"`
	KafkaScopes       []string        `koanf:"kafka-scopes"`

	ClickHouseTLS          bool            `koanf:"clickhouse-tls"`
	ClickHouseCA           string          `koanf:"clickhouse-ca"`
	ClickHouseCert         string          `koanf:"clickhouse-cert"`
	ClickHouseKey          string          `koanf:"clickhouse-key"`
	ClickHouseServerName   string          `koanf:"clickhouse-server-name"`
	ClickHousePassword     security.Secret `koanf:"clickhouse-password"`
	ClickHousePasswordFile string          `koanf:"clickhouse-password-file"`

	Registry             []string        `koanf:"schema-registry"`
	RegistryUser         string          `koanf:"schema-registry-user"`
	RegistryPassword     security.Secret `koanf:"schema-registry-password"`
	RegistryPasswordFile string          `koanf:"schema-registry-password-file"`
	RegistryCA           string          `koanf:"schema-registry-ca"`
	RegistryCert         string          `koanf:"schema-registry-cert"`
	RegistryKey          string          `koanf:"schema-registry-key"`
	RegistryServerName   string          `koanf:"schema-registry-server-name"`

	EmployerKey     security.Secret `koanf:"employer-key"`
	EmployerKeyFile string          `koanf:"employer-key-file"`
}

func addSecurityFlags(f *pflag.FlagSet) {
	certificates := func(prefix, server string) {
		f.String(prefix+"-ca", "", "PEM `file` of the authorities that may sign "+server+"'s certificate (default the machine's)")
		f.String(prefix+"-cert", "", "PEM `file` of a certificate to show to "+server)
		f.String(prefix+"-key", "", "PEM `file` of that certificate's private key")
		f.String(prefix+"-server-name", "", "`name` that "+server+"'s certificate is for, where that is not the host of its address")
	}
	tls := func(prefix, server string) {
		f.Bool(prefix+"-tls", false, "encrypt connections to "+server+" and verify its certificate")
		certificates(prefix, server)
	}
	secret := func(name, what string) { secretFlag(f, name, what) }
	tls("kafka", "Kafka")
	f.String("kafka-sasl", "", "SASL `mechanism`: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	f.String("kafka-user", "", "Kafka `user`, or the client's id at --kafka-token-url")
	secret("kafka-password", "the Kafka user's password")
	secret("kafka-token", "a token for OAUTHBEARER")
	f.String("kafka-token-url", "", "`address` that gives tokens for OAUTHBEARER against --kafka-user and its password (OAuth 2 client credentials)")
	f.StringSlice("kafka-scopes", nil, "`scopes` to ask for at --kafka-token-url")
	tls("clickhouse", "ClickHouse")
	secret("clickhouse-password", "the ClickHouse user's password")
	f.StringSlice("schema-registry", nil, "`addresses` of a Confluent schema registry, http or https: values that are written carry its wire format")
	f.String("schema-registry-user", "", "the schema registry's `user`")
	secret("schema-registry-password", "the schema registry user's password")
	certificates("schema-registry", "the schema registry")
	secret("employer-key", "the secret key of the employers' hash")
}

// secretFlag declares a secret and the file that may hold it. A value on the command line can be seen by every user of the machine.
func secretFlag(f *pflag.FlagSet, name, what string) {
	variable := "JOBSTROM_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	f.String(name, "", what+"; rather set "+variable+" or --"+name+"-file")
	f.String(name+"-file", "", "`file` of "+what)
}

func (s Security) kafkaTLS() security.TLS {
	return security.TLS{Enabled: s.KafkaTLS, CA: s.KafkaCA, Cert: s.KafkaCert, Key: s.KafkaKey, ServerName: s.KafkaServerName}
}

func (s Security) kafkaSASL() kafka.SASL {
	return kafka.SASL{
		Mechanism: s.KafkaSASL, User: s.KafkaUser, TokenURL: s.KafkaTokenURL, Scopes: s.KafkaScopes,
		Password: security.Credential{Value: s.KafkaPassword, File: s.KafkaPasswordFile},
		Token:    security.Credential{Value: s.KafkaToken, File: s.KafkaTokenFile},
	}
}

func (s Security) schemaRegistry() kafka.SchemaRegistry {
	return kafka.SchemaRegistry{
		URLs: s.Registry, User: s.RegistryUser, Password: security.Credential{Value: s.RegistryPassword, File: s.RegistryPasswordFile},
		TLS: security.TLS{CA: s.RegistryCA, Cert: s.RegistryCert, Key: s.RegistryKey, ServerName: s.RegistryServerName},
	}
}

func (s Security) clickHouseTLS() security.TLS {
	return security.TLS{Enabled: s.ClickHouseTLS, CA: s.ClickHouseCA, Cert: s.ClickHouseCert, Key: s.ClickHouseKey, ServerName: s.ClickHouseServerName}
}

func (s Security) clickHousePassword() security.Credential {
	return security.Credential{Value: s.ClickHousePassword, File: s.ClickHousePasswordFile}
}

func (s Security) employerKey() security.Credential {
	return security.Credential{Value: s.EmployerKey, File: s.EmployerKeyFile}
}

// Validate reports every violation. The embedded parts have no TLS and no users, so what is set for others is a slip when none are named.
func (s Security) Validate(brokers, clickHouse []string) error {
	wrong := append(s.kafkaTLS().Validate("kafka"), s.kafkaSASL().Validate()...)
	wrong = append(wrong, s.clickHouseTLS().Validate("clickhouse")...)
	wrong = append(wrong, s.schemaRegistry().Validate()...)
	wrong = append(wrong, s.clickHousePassword().Validate("clickhouse-password"), s.employerKey().Validate("employer-key"))
	if len(brokers) == 0 && (s.KafkaTLS || s.KafkaSASL != "") {
		wrong = append(wrong, errors.New("kafka-tls and kafka-sasl need brokers: the embedded Kafka has neither"))
	}
	if len(clickHouse) == 0 && s.ClickHouseTLS {
		wrong = append(wrong, errors.New("clickhouse-tls needs clickhouse: the embedded one has none"))
	}
	return errors.Join(wrong...)
}

// secretsAreText keeps the decoder's complaint about a secret of another type from quoting it.
func secretsAreText(from, to reflect.Type, value any) (any, error) {
	if to == reflect.TypeFor[security.Secret]() && from.Kind() != reflect.String {
		return nil, fmt.Errorf("a secret must be text: put it into quotes")
	}
	return value, nil
}

// frames registers the schemas of what is written, where there is a schema registry.
func (a *app) frames(ctx context.Context) (kafka.Frames, error) {
	registry := a.config.schemaRegistry()
	if len(registry.URLs) == 0 {
		return nil, nil
	}
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err != nil {
		return nil, err
	}
	registry.Logger = a.log
	return registry.Frames(ctx, card.ID)
}

// nameDenied says which rights a command lacks on Kafka, when that is what ended it.
func (a *app) nameDenied(cmd *cobra.Command, err error) error {
	if err == nil || a.log == nil { // it ended before there were settings
		return err
	}
	encoder := ""
	if card, err := models.ReadEncoderCard(a.encoderDir()); err == nil {
		encoder = card.ID
	}
	command := strings.TrimPrefix(cmd.CommandPath(), "jobstrom ") + " " + cmd.Flags().Arg(0)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return kafka.NameDenied(ctx, a.kafkaOptions(), err, kafka.RightsOf(strings.TrimSpace(command), encoder))
}
