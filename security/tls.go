package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// TLS says whether a connection is encrypted, whom it trusts and what it shows of itself. The server is always verified.
type TLS struct {
	Enabled bool
	// CA is a PEM file of the authorities that are trusted; without it those of the machine are.
	CA string
	// Cert and Key are PEM files of the client's own certificate, for servers that ask for one.
	Cert, Key string
	// ServerName is what the server's certificate must be for, where that is not the host of its address.
	ServerName string
}

// Validate returns every violation. prefix is that of the settings: "kafka" for kafka-tls, kafka-ca and so on.
func (t TLS) Validate(prefix string) []error {
	var wrong []error
	for _, s := range []struct{ name, value string }{{"ca", t.CA}, {"cert", t.Cert}, {"key", t.Key}, {"server-name", t.ServerName}} {
		if s.value != "" && !t.Enabled {
			wrong = append(wrong, fmt.Errorf("%s-%s (%s) needs %s-tls", prefix, s.name, s.value, prefix))
		}
	}
	if t.Cert != "" && t.Key == "" {
		wrong = append(wrong, fmt.Errorf("%s-cert (%s) needs %s-key, the file of its private key", prefix, t.Cert, prefix))
	}
	if t.Key != "" && t.Cert == "" {
		wrong = append(wrong, fmt.Errorf("%s-key (%s) needs %s-cert, the file of its certificate", prefix, t.Key, prefix))
	}
	return wrong
}

// Config returns what a client needs, or nil when TLS is off.
func (t TLS) Config() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the authorities: %s holds no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" {
		// Loaded once to fail early, and at each handshake, since certificates are renewed.
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
			if err != nil {
				return nil, fmt.Errorf("reading the certificate %s with the key %s: %w", t.Cert, t.Key, err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return config, nil
}

// String says it in a few words, for people.
func (t TLS) String() string {
	switch {
	case !t.Enabled:
		return "no TLS"
	case t.Cert != "":
		return "TLS with a certificate of ours"
	}
	return "TLS"
}

// Diagnose says in words what is wrong with a handshake and what to do about it, or "" when err is of another kind.
// prefix is that of the settings.
func Diagnose(err error, prefix string) string {
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		issuer := ""
		if authority.Cert != nil {
			issuer = fmt.Sprintf(" (%q)", authority.Cert.Issuer)
		}
		return fmt.Sprintf("the server's certificate is signed by an authority%s that is not trusted here: name its file with --%s-ca", issuer, prefix)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		if now := time.Now(); now.Before(invalid.Cert.NotBefore) {
			return fmt.Sprintf("the server's certificate is valid from %s only: is this machine's clock right?", invalid.Cert.NotBefore.Format(time.RFC3339))
		}
		return fmt.Sprintf("the server's certificate expired at %s: it has to be renewed there", invalid.Cert.NotAfter.Format(time.RFC3339))
	case errors.As(err, &host):
		return fmt.Sprintf("the server's certificate is for %s, not for %s: use such a name in the address, or --%s-server-name", names(host.Certificate), host.Host, prefix)
	case errors.As(err, &record), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return fmt.Sprintf("the server does not speak TLS there: leave --%s-tls out, or give the port with it", prefix)
	}
	// What the server says of us comes as an alert, which crypto/tls gives as text only.
	_, alert, remote := strings.Cut(err.Error(), "remote error: tls: ")
	switch {
	case !remote:
		return ""
	case strings.Contains(alert, "certificate required"):
		return fmt.Sprintf("the server asks for a certificate of ours: give --%s-cert and --%s-key", prefix, prefix)
	case strings.Contains(alert, "expired certificate"):
		return fmt.Sprintf("the server finds our certificate expired: renew the file of --%s-cert", prefix)
	case strings.Contains(alert, "unknown certificate authority"), strings.Contains(alert, "bad certificate"), strings.Contains(alert, "unknown certificate"):
		return fmt.Sprintf("the server refuses our certificate, or misses it: --%s-cert must be signed by an authority it trusts", prefix)
	}
	return "the server refuses the TLS handshake"
}

// names lists whom a certificate is for.
func names(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no host"
	}
	return strings.Join(all, ", ")
}
