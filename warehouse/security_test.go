package warehouse

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jobstrom/embedded/clickhousetest"
	"jobstrom/security"
	"jobstrom/security/certs"
)

// encrypted puts TLS before the engine's native port, which has none of its own: the client and the handshake are real, as is the protocol inside.
func encrypted(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with either end
				defer conn.Close()
				if conn.(*tls.Conn).Handshake() != nil {
					return
				}
				server, err := net.Dial("tcp", clickhousetest.Engine(t).Addr())
				if err != nil {
					return
				}
				defer server.Close()
				go func() {
					_, _ = io.Copy(server, conn)
					_ = server.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(conn, server)
			}()
		}
	}()
	return l.Addr().String()
}

func TestOpenWithTLS(t *testing.T) {
	ours := certs.NewAuthority(t)
	server, user := ours.Pair("server", time.Hour, "127.0.0.1"), ours.Pair("user", time.Hour)
	f := func(addr string, o security.TLS, want ...string) {
		t.Helper()
		o.Enabled = true
		w, err := Open(t.Context(), Options{Addr: []string{addr}, Database: "default", TLS: o, DialTimeout: time.Minute})
		if err == nil {
			defer w.Close()
			var n uint16
			if err = w.Conn().QueryRow(t.Context(), "SELECT 21 * 2").Scan(&n); err == nil && n != 42 {
				t.Errorf("got %d", n)
			}
		}
		if (err == nil) != (len(want) == 0) {
			t.Errorf("got %v, want %q", err, want)
			return
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("got %v, want %q", err, part)
			}
		}
	}
	trusting := security.TLS{CA: ours.CA}
	bare, mutual := encrypted(t, ours.Server(server, false)), encrypted(t, ours.Server(server, true))
	f(bare, trusting)
	f(mutual, security.TLS{CA: ours.CA, Cert: user.Cert, Key: user.Key})
	f(bare, security.TLS{}, "not trusted here", "--clickhouse-ca")
	f(mutual, trusting, "--clickhouse-cert and --clickhouse-key")
	f(encrypted(t, ours.Server(ours.Pair("old", -time.Hour, "127.0.0.1"), false)), trusting, "expired at")
	named := encrypted(t, ours.Server(ours.Pair("named", time.Hour, "clickhouse-1"), false))
	f(named, trusting, "is for clickhouse-1, not for 127.0.0.1", "--clickhouse-server-name")
	f(named, security.TLS{CA: ours.CA, ServerName: "clickhouse-1"})
	f(bare, security.TLS{CA: "/nowhere.crt"}, "/nowhere.crt")
	// Without TLS the server hangs up or sends an alert.
	if _, err := Open(t.Context(), Options{Addr: []string{bare}, Database: "default"}); err == nil || !strings.Contains(err.Error(), "give --clickhouse-tls") {
		t.Errorf("got %v", err)
	}
}

// A user with a password and no more rights than docs/security.md names does all that a sink does.
func TestUserWithPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	o := Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Database: "worker", CreateDatabase: true, Username: "worker", Password: security.Credential{File: file}}
	refused := func(o Options, want ...string) {
		t.Helper()
		w, err := Open(t.Context(), o)
		if err == nil {
			defer w.Close()
			err = w.Migrate(t.Context(), nil)
		}
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("got %v, want %q", err, part)
			}
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v holds the password", err)
		}
	}
	refused(o, file)
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wr0ng-s3cret")
	refused(o, `refuses the user "worker"`, "correct the user name or the password")
	write("s3cret-of-the-test")
	w := open(t, o)
	if err := w.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := w.InsertLabels(t.Context(), []LabelRow{{ReceivedAt: now, VacancyID: "a", Category: "x", Source: "test", LabelledAt: now}}); err != nil {
		t.Fatal(err)
	}
	if counts, err := w.Counts(t.Context()); err != nil || counts["labels"] != 1 {
		t.Fatalf("got %v, %v", counts, err)
	}
	erased := []Erasure{{VacancyID: "a", Offset: 1, ErasedAt: now}}
	if err := errors.Join(w.Erase(t.Context(), erased), w.Purge(t.Context())); err != nil {
		t.Fatal(err)
	}
	if counts, err := w.Counts(t.Context()); err != nil || counts["labels"] != 0 {
		t.Fatalf("got %v, %v after the erasure", counts, err)
	}
	if err := w.InsertEmbeddings(t.Context(), []EmbeddingRow{textOf(1, "b", "e5", "a text")}); err != nil {
		t.Fatal(err)
	}
	vector := textOf(1, "b", "e5", "a text").Vector
	if err := errors.Join(w.EnsureSimilar(t.Context(), "e5", len(vector)), w.InsertPredictions(t.Context(), []PredictionRow{prediction(1, "b", "m1")})); err != nil {
		t.Fatal(err)
	}
	o.Username, o.CreateDatabase, o.Lazy = "web", false, true // as jobstrom serve
	for _, most := range []int{1, 2} {                        // by the index alone, and with a look at all
		if found, err := open(t, o).Similar(t.Context(), SimilarQuery{Encoder: "e5", Vector: vector, Category: -1, Most: most}); err != nil || len(found) != 1 {
			t.Errorf("similar: got %v, %v", found, err)
		}
	}
	if v, err := open(t, o).ReadVacancy(t.Context(), "b"); err != nil || v.State != VacancyClassified {
		t.Errorf("got %v, %v", v, err)
	}
	if _, _, err := open(t, o).ReadDeadLetters(t.Context(), noon, 10); err != nil {
		t.Error(err)
	}
	o.Username = "embedder"
	if found, err := open(t, o).ReadVectors(t.Context(), "e5", []TextHash{HashText("a text")}); err != nil || len(found) != 1 {
		t.Errorf("got %v, %v", found, err)
	}
	o.Lazy = false
	o.Username = "poor"
	p := open(t, o)
	if err := p.InsertLabels(t.Context(), []LabelRow{{ReceivedAt: now, VacancyID: "b", Category: "x", Source: "test", LabelledAt: now}}); err == nil || !strings.Contains(err.Error(), "INSERT") {
		t.Errorf("got %v", err)
	}
	o.Database, o.CreateDatabase = "elsewhere", true
	refused(o, "gives the user \"poor\" too few rights", "CREATE DATABASE")
}
