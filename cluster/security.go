package cluster

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Security describes a further listener, that of Cluster.SecureAddrs. The plain one stays: it is how brokers and tests manage the cluster.
type Security struct {
	// Protocol is SASL_SSL (the default), SSL or SASL_PLAINTEXT.
	Protocol string
	// Authority signs the brokers' certificates, and those of clients that brokers trust. Needed for SASL_SSL and SSL.
	Authority *Authority
	// Expiry of the brokers' certificates, default in a day; tests of expired ones set the past.
	Expiry time.Time
	// ClientCertificates demands one of every client (mTLS).
	ClientCertificates bool
	// Users are name and password of those who may log in by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
	Users map[string]string
	// ACLs lets users do only what access control lists allow. A client of the plain listener may do everything, and writes the lists.
	ACLs bool
}

func (s *Security) ensureDefaults() {
	if s.Protocol == "" {
		s.Protocol = "SASL_SSL"
	}
	if s.Expiry.IsZero() {
		s.Expiry = time.Now().Add(24 * time.Hour)
	}
}

func (s *Security) tls() bool  { return s.Protocol != "SASL_PLAINTEXT" }
func (s *Security) sasl() bool { return s.Protocol != "SSL" }

func (s *Security) validate() []error {
	var wrong []error
	if !slices.Contains([]string{"SASL_SSL", "SSL", "SASL_PLAINTEXT"}, s.Protocol) {
		wrong = append(wrong, fmt.Errorf("security protocol (%s) must be SASL_SSL, SSL or SASL_PLAINTEXT", s.Protocol))
	}
	if s.tls() && s.Authority == nil {
		wrong = append(wrong, fmt.Errorf("security protocol %s needs an authority", s.Protocol))
	}
	if s.sasl() && len(s.Users) == 0 {
		wrong = append(wrong, fmt.Errorf("security protocol %s needs users", s.Protocol))
	}
	for name, password := range s.Users {
		if name == "" || password == "" || strings.ContainsAny(name+password, `"\,;[]= `) {
			wrong = append(wrong, errors.New(`users and passwords must not be empty or hold a blank or any of "\,;[]=`))
		}
	}
	return wrong
}

// Files in a broker's folder.
const (
	keyStore   = "broker.pem"
	trustStore = "authority.pem"
)

// settings returns what server.properties needs for the listener SECURE.
func (s *Security) settings(b *broker) map[string]string {
	own := map[string]string{
		"listeners":                      "PLAIN://" + loopback(b.plain) + ",CONTROLLER://" + loopback(b.controller) + ",SECURE://" + loopback(b.secure),
		"listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:" + s.Protocol,
	}
	const prefix = "listener.name.secure."
	if s.tls() {
		maps.Copy(own, map[string]string{
			prefix + "ssl.keystore.type":       "PEM",
			prefix + "ssl.keystore.location":   filepath.Join(b.dir, keyStore),
			prefix + "ssl.truststore.type":     "PEM",
			prefix + "ssl.truststore.location": filepath.Join(b.dir, trustStore),
		})
		if s.ClientCertificates {
			own[prefix+"ssl.client.auth"] = "required"
		}
	}
	if s.sasl() {
		own[prefix+"sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
		const security = "org.apache.kafka.common.security."
		plain := security + "plain.PlainLoginModule required"
		for _, name := range slices.Sorted(maps.Keys(s.Users)) {
			plain += fmt.Sprintf(` user_%s="%s"`, name, s.Users[name])
		}
		own[prefix+"plain.sasl.jaas.config"] = plain + ";"
		own[prefix+"scram-sha-256.sasl.jaas.config"] = security + "scram.ScramLoginModule required;"
		own[prefix+"scram-sha-512.sasl.jaas.config"] = security + "scram.ScramLoginModule required;"
	}
	if s.ACLs {
		own["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
		own["super.users"] = "User:ANONYMOUS"
	}
	return own
}

// scram returns the arguments that create the users when a data folder is formatted.
func (s *Security) scram() []string {
	if !s.sasl() {
		return nil
	}
	var args []string
	for _, name := range slices.Sorted(maps.Keys(s.Users)) {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, name, s.Users[name]))
		}
	}
	return args
}

// writeCertificates puts the key store and the trust store into a broker's folder.
func (s *Security) writeCertificates(b *broker) error {
	if !s.tls() {
		return nil
	}
	certificate, key, err := s.Authority.Issue("broker", s.Expiry)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, keyStore), append(key, certificate...), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, trustStore), s.Authority.PEM, 0o644)
}
