package warehouse

import (
	"cmp"
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"jobstrom/embedded/clickhousetest"
	"jobstrom/security"
)

// testUsers have passwords: worker has the rights that docs/security.md names, on the database worker; poor may only look, web too and change no setting, and embedder
// only where --embed-reuse does. archivist may back up the database kept and restore it as regained.
const testUsers = `<clickhouse><profiles><reader><readonly>1</readonly></reader></profiles><users>
<worker><password>s3cret-of-the-test</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota><grants>
  <query>GRANT SELECT, INSERT, CREATE, ALTER, DROP ON worker.*</query>
  <query>GRANT TABLE ENGINE ON *</query>
  <query>GRANT SELECT ON system.disks</query>
</grants></worker>
<poor><password>s3cret-of-the-test</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota><grants>
  <query>GRANT SELECT ON worker.*</query>
</grants></poor>
<web><password>s3cret-of-the-test</password><networks><ip>127.0.0.1</ip></networks><profile>reader</profile><quota>default</quota><grants>
  <query>GRANT SELECT ON worker.*</query>
</grants></web>
<embedder><password>s3cret-of-the-test</password><networks><ip>127.0.0.1</ip></networks><profile>reader</profile><quota>default</quota><grants>
  <query>GRANT SELECT ON worker.embedding_rows</query>
  <query>GRANT SELECT ON worker.erasure_rows</query>
</grants></embedder>
<archivist><password>s3cret-of-the-test</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota><grants>
  <query>GRANT SELECT, ALTER ON kept.*</query>
  <query>GRANT SELECT, INSERT, CREATE, ALTER, DROP ON kept_backup.*</query>
  <query>GRANT BACKUP ON kept_backup.*</query>
  <query>GRANT SELECT, INSERT, CREATE, ALTER, DROP ON regained.*</query>
  <query>GRANT SELECT, INSERT, CREATE, ALTER, DROP ON regained_restore.*</query>
  <query>GRANT TABLE ENGINE ON *</query>
  <query>GRANT SELECT ON system.backups</query>
</grants></archivist>
</users></clickhouse>`

// One real ClickHouse serves the whole test binary; every test has a database of its own.
func TestMain(m *testing.M) { os.Exit(clickhousetest.Main(m, testUsers)) }

// testOptions name a database after the test.
func testOptions(t testing.TB) Options {
	return Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Database: clickhousetest.Database(t), CreateDatabase: true}
}

func open(t testing.TB, o Options) *Warehouse {
	t.Helper()
	o.DialTimeout = cmp.Or(o.DialTimeout, time.Minute)
	w, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func openMigrated(t testing.TB) *Warehouse {
	t.Helper()
	w := open(t, testOptions(t))
	if err := w.Migrate(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestOpenFailure(t *testing.T) {
	f := func(change func(*Options), want ...string) {
		t.Helper()
		o := Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Database: "default", DialTimeout: time.Minute}
		change(&o)
		w, err := Open(t.Context(), o)
		if err == nil {
			w.Close()
			t.Errorf("opened, want an error with %q", want)
			return
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("got %q, want it to contain %q", err, part)
			}
		}
		if o.Password.Value != "" && strings.Contains(err.Error(), o.Password.Value.Reveal()) {
			t.Errorf("the error %q holds the password", err)
		}
	}
	const closed = "127.0.0.1:1" // nothing takes this port
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	// alert answers everything as a TLS server answers what is not TLS.
	alert, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer alert.Close()
	go func() { // ends with the listener
		for {
			conn, err := alert.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1024))
			conn.Write([]byte{21, 3, 1, 0, 2, 2, 70})
			conn.Close()
		}
	}()

	f(func(o *Options) { o.Addr = []string{closed} }, closed, "nothing listens there", "start ClickHouse")
	f(func(o *Options) { o.Addr = []string{clickhousetest.Engine(t).HTTPAddr()} }, clickhousetest.Engine(t).HTTPAddr(), "an HTTP server answers", "9000")
	f(func(o *Options) { o.Addr = []string{silent.Addr().String()}; o.DialTimeout = 200 * time.Millisecond }, "no answer within 200ms")
	f(func(o *Options) { o.Addr = []string{alert.Addr().String()} }, "give --clickhouse-tls")
	f(func(o *Options) { o.TLS.Enabled = true }, "leave --clickhouse-tls out")
	f(func(o *Options) { o.TLS.Enabled, o.Addr = true, []string{clickhousetest.Engine(t).HTTPAddr()} }, "leave --clickhouse-tls out")
	f(func(o *Options) { o.Password.Value = "wr0ng-passw0rd" }, `refuses the user "default"`, "password")
	f(func(o *Options) { o.Username = "nobody" }, `refuses the user "nobody"`)
	f(func(o *Options) { o.Database = "absent" }, "no database absent", "correct the name")
	f(func(o *Options) { o.Username, o.Database, o.CreateDatabase = "viewer", "absent", true }, "creating the database absent", "Not enough privileges")
}

func TestOptionsFailure(t *testing.T) {
	o := Options{
		Addr: []string{"localhost", "http://localhost:8123"}, Database: "jobs; DROP", DialTimeout: -1, Password: security.Credential{Value: "secret", File: "x"}, TLS: security.TLS{Cert: "c"},
		Retention: Retention{Labels: 24, DeadLetters: -time.Hour},
	}
	o.EnsureDefaults()
	err := o.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`("localhost") must be host:port`, `("http://localhost:8123") must be host:port, without a scheme`,
		`database ("jobs; DROP")`, "dial timeout (-1ns)", "label_rows (24ns)", "deadletter_rows (-1h0m0s)",
		"clickhouse-password and clickhouse-password-file are both given", "clickhouse-cert (c) needs clickhouse-tls", "clickhouse-cert (c) needs clickhouse-key"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to contain %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error %q holds the password", err)
	}
	o = Options{}
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("no address: got %v", err)
	}
}
