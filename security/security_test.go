package security_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jobstrom/security"
	"jobstrom/security/certs"
)

func TestSecretShowsNothing(t *testing.T) {
	const known = "s3cret-of-the-test"
	type options struct {
		Name     string
		Password security.Secret
		Other    security.Credential
	}
	o := options{"x", known, security.Credential{Value: known}}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%50s"} {
		fmt.Fprintf(&shown, verb+" "+verb+" "+verb+"\n", o, &o, o.Password)
	}
	fmt.Fprintln(&shown, o, o.Password, []security.Secret{known}, map[security.Secret]security.Secret{known: known})
	fmt.Fprintln(&shown, fmt.Errorf("with %w and %v", errors.New("x"), o.Password))
	for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(h).Log(context.Background(), slog.LevelError, "x", "password", o.Password, "options", o, "pointer", &o, "group", slog.GroupValue(slog.Any("p", o.Password)))
	}
	if err := json.NewEncoder(&shown).Encode(o); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(shown.String(), known) || strings.Contains(shown.String(), fmt.Sprintf("%x", known)) || strings.Contains(shown.String(), fmt.Sprintf("%X", known)) {
		t.Fatalf("the secret shows:\n%s", &shown)
	}
	if !strings.Contains(shown.String(), "(hidden)") || o.Password.Reveal() != known {
		t.Fatalf("a secret that is set says so, and Reveal gives it:\n%s", &shown)
	}
}

// A file is read at each use: secrets are rotated under running processes.
func TestCredentialFollowsItsFile(t *testing.T) {
	c := security.Credential{File: filepath.Join(t.TempDir(), "password")}
	f := func(content, want string) {
		t.Helper()
		if err := os.WriteFile(c.File, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Read(); err != nil || got.Reveal() != want {
			t.Fatalf("got %q, %v; want %q", got.Reveal(), err, want)
		}
	}
	f("one\n", "one")
	f("two with a space \r\n", "two with a space ")
	if err := os.WriteFile(c.File, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(); err == nil || !strings.Contains(err.Error(), c.File+" is empty") {
		t.Fatalf("got %v", err)
	}
	if _, err := (security.Credential{File: "/nowhere/password"}).Read(); err == nil || !strings.Contains(err.Error(), "/nowhere/password") {
		t.Fatalf("got %v", err)
	}
	if err := (security.Credential{Value: "a", File: "b"}).Validate("kafka-password"); err == nil || !strings.Contains(err.Error(), "both given") {
		t.Fatalf("got %v", err)
	}
}

func TestTLSValidate(t *testing.T) {
	f := func(o security.TLS, want ...string) {
		t.Helper()
		err := errors.Join(o.Validate("kafka")...)
		if (err == nil) != (len(want) == 0) {
			t.Fatalf("%+v: got %v, want %q", o, err, want)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: got %v, want %q", o, err, w)
			}
		}
	}
	f(security.TLS{})
	f(security.TLS{Enabled: true, CA: "a", Cert: "b", Key: "c", ServerName: "d"})
	f(security.TLS{CA: "a", Cert: "b", ServerName: "d"}, "kafka-ca (a) needs kafka-tls", "kafka-cert (b) needs kafka-tls", "kafka-cert (b) needs kafka-key", "kafka-server-name (d) needs")
	f(security.TLS{Enabled: true, Key: "c"}, "kafka-key (c) needs kafka-cert")
}

func TestDiagnose(t *testing.T) {
	ours, others := certs.NewAuthority(t), certs.NewAuthority(t)
	server := ours.Pair("server", time.Hour, "127.0.0.1", "localhost")
	client := ours.Pair("client", time.Hour)
	// handshake returns what a client is told by a server, at the handshake or, with TLS 1.3, at its first read.
	handshake := func(serve *tls.Config, o security.TLS) error {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if serve == nil {
				_, _ = conn.Write([]byte("not TLS at all"))
				_, _ = conn.Read(make([]byte, 1024))
				return
			}
			s := tls.Server(conn, serve)
			if s.Handshake() == nil {
				_, _ = s.Write([]byte("x"))
			}
			_, _ = conn.Read(make([]byte, 1024)) // until the client has read the alert and closes
		}()
		o.Enabled = true
		config, err := o.Config()
		if err != nil {
			return err
		}
		conn, err := tls.Dial("tcp", l.Addr().String(), config)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	f := func(want string, serve *tls.Config, o security.TLS) {
		t.Helper()
		err := handshake(serve, o)
		if want == "" {
			if err != nil {
				t.Errorf("got %v, want none", err)
			}
			return
		}
		if err == nil || !strings.Contains(security.Diagnose(err, "kafka"), want) {
			t.Errorf("got %q for %v, want %q", security.Diagnose(err, "kafka"), err, want)
		}
	}
	trusting := security.TLS{CA: ours.CA}
	f("", ours.Server(server, false), trusting)
	f("", ours.Server(server, true), security.TLS{CA: ours.CA, Cert: client.Cert, Key: client.Key})
	f("--kafka-ca", ours.Server(server, false), security.TLS{})
	f("--kafka-ca", ours.Server(server, false), security.TLS{CA: others.CA})
	f("expired at", ours.Server(ours.Pair("old", -time.Hour, "127.0.0.1"), false), trusting)
	f("clock", ours.Server(ours.Pair("young", 72*time.Hour, "127.0.0.1"), false), trusting)
	f("is for kafka-1.example, not for 127.0.0.1", ours.Server(ours.Pair("named", time.Hour, "kafka-1.example"), false), trusting)
	f("", ours.Server(ours.Pair("named", time.Hour, "kafka-1.example"), false), security.TLS{CA: ours.CA, ServerName: "kafka-1.example"})
	f("does not speak TLS", nil, trusting)
	f("--kafka-cert and --kafka-key", ours.Server(server, true), trusting)
	stranger := others.Pair("stranger", time.Hour)
	f("must be signed by an authority it trusts", ours.Server(server, true), security.TLS{CA: ours.CA, Cert: stranger.Cert, Key: stranger.Key})
	old := ours.Pair("former", -time.Hour)
	f("our certificate expired", ours.Server(server, true), security.TLS{CA: ours.CA, Cert: old.Cert, Key: old.Key})
	if got := security.Diagnose(errors.New("connection refused"), "kafka"); got != "" {
		t.Errorf("got %q for what is no handshake", got)
	}
	for _, o := range []security.TLS{{CA: "/nowhere.crt"}, {CA: server.Key}, {Cert: server.Cert, Key: client.Key}} {
		o.Enabled = true
		if _, err := o.Config(); err == nil {
			t.Errorf("%+v: accepted", o)
		}
	}
}
