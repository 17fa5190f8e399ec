package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"jobstrom/security"
)

// Reach pings the cluster and explains why it cannot be reached.
func Reach(ctx context.Context, client *kgo.Client, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := client.Ping(ctx)
	if err == nil {
		return nil
	}
	brokers, _ := client.OptValue(kgo.SeedBrokers).([]string)
	config, _ := client.OptValue(kgo.DialTLSConfig).(*tls.Config)
	mechanism := ""
	if all, _ := client.OptValue(kgo.SASL).([]sasl.Mechanism); len(all) > 0 {
		mechanism = all[0].Name()
	}
	return fmt.Errorf("reaching Kafka at %s: %s: %w", strings.Join(brokers, ","), diagnose(err, config != nil, mechanism), err)
}

// diagnose says in words what an error of the connection most often means. encrypted and mechanism are what the client came with.
func diagnose(err error, encrypted bool, mechanism string) string {
	if said := security.Diagnose(err, "kafka"); said != "" {
		return said
	}
	var dns *net.DNSError
	var first *kgo.ErrFirstReadEOF
	switch text := err.Error(); {
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %q is not known", dns.Name)
	case strings.Contains(text, "connection refused"):
		return "nothing listens there: is the broker up, is the port right?"
	case strings.Contains(text, "tls alert record"):
		return "the broker speaks TLS there: give --kafka-tls, or the port without it"
	case strings.Contains(text, "invalid large response size"), strings.Contains(text, "HTTP"):
		return "what listens there does not speak Kafka: is it the HTTP port?"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Sprintf("the broker does not offer %s there: choose with --kafka-sasl what it does", mechanism)
	case errors.Is(err, kerr.IllegalSaslState) && mechanism != "":
		return "the broker asks for no user there: leave --kafka-sasl out, or give the port that does"
	// A broker tells what it dislikes of a token in a further message, which the client does not read.
	case errors.Is(err, kerr.SaslAuthenticationFailed) && mechanism == OAuthBearer, strings.Contains(text, "unexpected data in oauth response"):
		return "the broker refuses the token: is it of the issuer and the audience that it trusts, has it expired?"
	case errors.Is(err, kerr.SaslAuthenticationFailed), strings.HasPrefix(text, "invalid password"):
		return fmt.Sprintf("the broker refuses the user or the password with %s: correct --kafka-user or the password", mechanism)
	case strings.Contains(text, "a secret"), strings.Contains(text, "for a token"):
		return "there is nothing to authenticate with"
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(text, "i/o timeout"):
		if encrypted {
			return "no answer in time: is the port right, does the broker speak TLS there (else leave --kafka-tls out)?"
		}
		return "no answer in time: is the port right, does the broker ask for TLS (--kafka-tls)?"
	case errors.As(err, &first) && strings.Contains(text, "SASL is required"):
		return "the broker hangs up: it asks for a user there (--kafka-sasl), or it is no broker"
	case errors.As(err, &first) && strings.Contains(text, "requires TLS") && !encrypted:
		return "what listens there hangs up: it asks for TLS (--kafka-tls), or is no broker"
	case errors.As(err, &first) && strings.Contains(text, "immediately after a dial") && encrypted:
		return "what listens there hangs up: it does not speak TLS (leave --kafka-tls out), or is no broker"
	case errors.Is(err, io.EOF) && mechanism != "":
		return fmt.Sprintf("the broker hangs up on %s: correct --kafka-user or the password, or leave --kafka-sasl out where no user is asked for", mechanism)
	case errors.Is(err, io.EOF) && encrypted:
		return "what listens there hangs up: it does not speak TLS (leave --kafka-tls out), or is no broker"
	case errors.Is(err, io.EOF):
		return "what listens there hangs up: it asks for TLS (--kafka-tls), or is no broker"
	}
	return "the broker does not answer"
}
