package security

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// ServerTLS names the certificate that a server shows. Without one it speaks plain HTTP.
type ServerTLS struct {
	// Cert and Key are PEM files: the certificate, those of its authorities below it, and its private key.
	Cert, Key string
}

// Validate returns every violation. prefix is that of the settings: "http" for http-cert and http-key.
func (s ServerTLS) Validate(prefix string) []error {
	if (s.Cert == "") != (s.Key == "") {
		return []error{fmt.Errorf("%s-cert (%s) and %s-key (%s) are given both or not at all", prefix, s.Cert, prefix, s.Key)}
	}
	return nil
}

// Config returns what a server needs, or nil without a certificate. The files are read again when they change; while they do not belong together or cannot be read,
// as between the renewal of one and that of the other, the pair of before is shown.
func (s ServerTLS) Config(log *slog.Logger) (*tls.Config, error) {
	if s.Cert == "" {
		return nil, nil
	}
	r := &renewed{ServerTLS: s, log: log}
	if err := r.load(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.now(), nil }}, nil
}

// renewed is a pair that follows its files.
type renewed struct {
	ServerTLS
	log *slog.Logger

	mu   sync.Mutex
	seen [2]os.FileInfo
	pair *tls.Certificate
}

// load reads the pair. Only the first reader has it without the lock.
func (r *renewed) load() error {
	r.seen = r.look()
	pair, err := tls.LoadX509KeyPair(r.Cert, r.Key)
	if err != nil {
		return fmt.Errorf("reading the certificate %s with the key %s: %w", r.Cert, r.Key, err)
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		r.log.Warn("the certificate of the web pages and the API has expired: renew it", "file", r.Cert, "expired", pair.Leaf.NotAfter)
	}
	r.pair = &pair
	return nil
}

func (r *renewed) look() (seen [2]os.FileInfo) {
	for i, path := range []string{r.Cert, r.Key} {
		seen[i], _ = os.Stat(path)
	}
	return seen
}

// now returns the pair to show.
func (r *renewed) now() *tls.Certificate {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, info := range r.look() {
		if !unchanged(r.seen[i], info) {
			if err := r.load(); err != nil {
				r.log.Error("the renewed certificate cannot be used, that of before is shown", "error", err)
			}
			break
		}
	}
	return r.pair
}

func unchanged(before, now os.FileInfo) bool {
	if before == nil || now == nil {
		return before == nil && now == nil
	}
	return os.SameFile(before, now) && before.ModTime().Equal(now.ModTime()) && before.Size() == now.Size() && before.Mode() == now.Mode()
}
