package warehouse

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"jobstrom/security"
)

// Options says where the database is and how long it keeps its rows.
type Options struct {
	// Addr lists the servers of one ClickHouse, host:port of the native protocol (9000, with TLS 9440). The first that
	// answers is used.
	Addr []string
	// Database is "jobstrom" by default.
	Database string
	// CreateDatabase makes the database when it does not exist; without it that is an error.
	CreateDatabase bool
	// Lazy opens without asking the server, which may be away: each query says whether it is there. It goes without CreateDatabase.
	Lazy bool
	// Username is "default" by default.
	Username string
	Password security.Credential
	// TLS encrypts the connection, on the port that has it, usually 9440.
	TLS security.TLS
	// DialTimeout bounds a connection's start, 5 s by default.
	DialTimeout time.Duration
	// Retention is applied by Migrate.
	Retention Retention
	// Layout says on which servers the tables lie. Who creates or erases needs it; who reads and inserts does not.
	Layout Layout
}

// Retention says how long rows are kept, counted from received_at. Zero leaves a table as it is, which is for ever unless
// an earlier Migrate set a time; ALTER TABLE … REMOVE TTL takes it back.
type Retention struct {
	Embeddings, Predictions, Labels, DeadLetters time.Duration
	// Hot is how long rows lie on the first volume of the storage policy before they move to Layout.ColdVolume; zero leaves that as it is.
	Hot time.Duration
}

func (r Retention) tables() []tableRetention {
	return []tableRetention{
		{"embedding_rows", r.Embeddings},
		{"prediction_rows", r.Predictions},
		{"shadow_rows", r.Predictions},
		{"label_rows", r.Labels},
		{"deadletter_rows", r.DeadLetters},
		{"deadletter_replay_rows", r.DeadLetters},
	}
}

type tableRetention struct {
	table string
	keep  time.Duration
}

// minRetention keeps a slip of the unit (24 for "24 days") from emptying a table.
const minRetention = time.Hour

// EnsureDefaults fills the fields that are zero.
func (o *Options) EnsureDefaults() {
	if o.Database == "" {
		o.Database = "jobstrom"
	}
	if o.Username == "" {
		o.Username = "default"
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 5 * time.Second
	}
	o.Layout.EnsureDefaults()
}

var databaseName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// Validate reports every violation at once. It names no password.
func (o *Options) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.Addr) == 0 {
		add("clickhouse addresses ([]) must name at least one host:port")
	}
	for _, addr := range o.Addr {
		if strings.Contains(addr, "://") {
			add("clickhouse address (%q) must be host:port, without a scheme", addr)
		} else if _, _, err := net.SplitHostPort(addr); err != nil {
			add("clickhouse address (%q) must be host:port: %w", addr, err)
		}
	}
	if !databaseName.MatchString(o.Database) {
		add("clickhouse database (%q) must be letters, digits and _, at most 63, and begin with no digit", o.Database)
	}
	if o.Lazy && o.CreateDatabase {
		add("a database cannot be created (CreateDatabase) without asking the server (Lazy)")
	}
	if err := o.Password.Validate("clickhouse-password"); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, o.TLS.Validate("clickhouse")...)
	if o.DialTimeout < 0 {
		add("clickhouse dial timeout (%v) must be above 0", o.DialTimeout)
	}
	for _, r := range o.Retention.tables() {
		if r.keep != 0 && r.keep < minRetention {
			add("retention of %s (%v) must be 0 (leave as it is) or at least %v", r.table, r.keep, minRetention)
		}
	}
	if h := o.Retention.Hot; h != 0 && h < minRetention {
		add("hot retention (%v) must be 0 (leave as it is) or at least %v", h, minRetention)
	}
	return errors.Join(append(errs, o.Layout.Validate())...)
}

// Security says in a few words how the server is come to, for people.
func (o Options) Security() string {
	o.EnsureDefaults()
	said := o.TLS.String() + ", as " + o.Username
	if !o.TLS.Enabled && !o.Password.IsZero() {
		said += "; without TLS the password travels readable"
	}
	return said
}
