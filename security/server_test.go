package security_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"jobstrom/security"
	"jobstrom/security/certs"
	"jobstrom/telemetry/logtest"
)

// A server shows the certificate of now, and that of before while the files do not belong together.
func TestServerTLSFollowsItsFiles(t *testing.T) {
	authority := certs.NewAuthority(t)
	first, second := authority.Pair("first", time.Hour, "127.0.0.1"), authority.Pair("second", time.Hour, "127.0.0.1")
	var log logtest.Buffer
	config, err := security.ServerTLS{Cert: first.Cert, Key: first.Key}.Config(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: config, Handler: http.NotFoundHandler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { server.Close() })
	client, err := security.TLS{Enabled: true, CA: authority.CA}.Config()
	if err != nil {
		t.Fatal(err)
	}
	shows := func(want string) {
		t.Helper()
		with := client.Clone()
		with.NextProtos = []string{"h2"}
		conn, err := tls.Dial("tcp", listener.Addr().String(), with)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		state := conn.ConnectionState()
		if got := state.PeerCertificates[0].Subject.CommonName; got != want || state.NegotiatedProtocol != "h2" {
			t.Fatalf("it shows %q over %q, want %q", got, state.NegotiatedProtocol, want)
		}
	}
	move := func(from, to string) {
		t.Helper()
		content, err := os.ReadFile(from)
		if err = errors.Join(err, os.WriteFile(to+".new", content, 0o600), os.Rename(to+".new", to)); err != nil {
			t.Fatal(err)
		}
	}
	shows("first")
	move(second.Cert, first.Cert) // the key is not renewed yet
	shows("first")
	shows("first")
	move(second.Key, first.Key)
	shows("second")
	if err := os.Remove(first.Cert); err != nil {
		t.Fatal(err)
	}
	shows("second")
	if said := log.String(); strings.Count(said, "that of before is shown") != 2 {
		t.Errorf("each state of the files is said once: %s", said)
	}
	if old, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: client.RootCAs, MaxVersion: tls.VersionTLS11}); err == nil {
		old.Close()
		t.Error("TLS 1.1 was spoken")
	}
}

func TestServerTLSValidate(t *testing.T) {
	for _, s := range []security.ServerTLS{{Cert: "a"}, {Key: "b"}} {
		if err := errors.Join(s.Validate("http")...); err == nil || !strings.Contains(err.Error(), "http-cert ("+s.Cert+") and http-key ("+s.Key+")") {
			t.Errorf("%+v: got %v", s, err)
		}
	}
	for _, s := range []security.ServerTLS{{}, {Cert: "a", Key: "b"}} {
		if err := errors.Join(s.Validate("http")...); err != nil {
			t.Errorf("%+v: got %v", s, err)
		}
	}
	if config, err := (security.ServerTLS{}).Config(nil); config != nil || err != nil {
		t.Errorf("got %v, %v", config, err)
	}
	authority := certs.NewAuthority(t)
	one, other := authority.Pair("one", time.Hour, "localhost"), authority.Pair("other", time.Hour, "localhost")
	for _, s := range []security.ServerTLS{{Cert: "/nowhere", Key: one.Key}, {Cert: one.Cert, Key: other.Key}} {
		if _, err := s.Config(slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), s.Cert) {
			t.Errorf("%+v: got %v", s, err)
		}
	}
	var log logtest.Buffer
	old := authority.Pair("old", -time.Hour, "localhost")
	if _, err := (security.ServerTLS{Cert: old.Cert, Key: old.Key}).Config(slog.New(slog.NewTextHandler(&log, nil))); err != nil || !strings.Contains(log.String(), "has expired: renew it") {
		t.Errorf("%v: %s", err, &log)
	}
}
