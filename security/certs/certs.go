// Package certs puts certificates into files for tests: an authority's, and what it signs, expired and misnamed ones too.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jobstrom/cluster"
)

// Authority signs certificates.
type Authority struct {
	*cluster.Authority
	// CA is the PEM file of its own certificate.
	CA string

	t   testing.TB
	dir string
}

// Pair is a certificate with its key, as PEM files.
type Pair struct{ Cert, Key string }

// NewAuthority makes an authority with files in a folder of the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	authority, err := cluster.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{Authority: authority, t: t, dir: t.TempDir()}
	a.CA = a.write("ca.crt", authority.PEM)
	return a
}

// Pair issues a certificate for both ends of a connection: name is its subject, hosts are as those of cluster.Authority.Issue, and it ends after
// valid, which may be in the past.
func (a *Authority) Pair(name string, valid time.Duration, hosts ...string) Pair {
	a.t.Helper()
	cert, key, err := a.Issue(name, time.Now().Add(valid), hosts...)
	if err != nil {
		a.t.Fatal(err)
	}
	return Pair{a.write(name+".crt", cert), a.write(name+".key", key)}
}

// Server returns a server's configuration with a pair. With demand, clients must show a certificate of this authority.
func (a *Authority) Server(p Pair, demand bool) *tls.Config {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		a.t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if demand {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(a.PEM)
	}
	return config
}

func (a *Authority) write(name string, content []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}
