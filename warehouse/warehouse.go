package warehouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"jobstrom/security"
)

// Warehouse is an open database. Its methods may be called from any goroutine.
type Warehouse struct {
	options Options
	conn    driver.Conn
}

// Open connects and sees that the server answers, unless it is to be Lazy. Its error says what is wrong with the address, the user or the
// database, and what to do.
func Open(ctx context.Context, o Options) (*Warehouse, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("checking the ClickHouse options: %w", err)
	}
	conn, err := connect(ctx, o, o.Database)
	if o.CreateDatabase && hasCode(err, codeUnknownDatabase) {
		if err = create(ctx, o); err == nil {
			conn, err = connect(ctx, o, o.Database)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to ClickHouse at %s: %w", strings.Join(o.Addr, ", "), diagnose(err, o))
	}
	return &Warehouse{options: o, conn: conn}, nil
}

func connect(ctx context.Context, o Options, database string) (driver.Conn, error) {
	password, err := o.Password.Read()
	if err != nil {
		return nil, err
	}
	transport, err := o.TLS.Config()
	if err != nil {
		return nil, err
	}
	co := &clickhouse.Options{
		Addr:        o.Addr,
		Protocol:    clickhouse.Native,
		Auth:        clickhouse.Auth{Database: database, Username: o.Username, Password: password.Reveal()},
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
		DialTimeout: o.DialTimeout,
		TLS:         transport,
	}
	conn, err := clickhouse.Open(co)
	if err != nil {
		return nil, err
	}
	if o.Lazy {
		return conn, nil
	}
	if err := conn.Ping(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func create(ctx context.Context, o Options) error {
	conn, err := connect(ctx, o, "default")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+o.Database+o.Layout.onCluster()); err != nil {
		return fmt.Errorf("creating the database %s: %w", o.Database, err)
	}
	return nil
}

// Codes of the server's exceptions.
const (
	codeUnknownDatabase      = 81
	codeAccessDenied         = 497
	codeAuthenticationFailed = 516
)

func hasCode(err error, code int32) bool {
	var exception *clickhouse.Exception
	return errors.As(err, &exception) && exception.Code == code
}

// IsDenied says that the server refused a statement because its user lacks a right.
func IsDenied(err error) bool { return hasCode(err, codeAccessDenied) }

// diagnose adds to a failed connection what is probably the matter.
func diagnose(err error, o Options) error {
	remedy, text := security.Diagnose(err, "clickhouse"), err.Error()
	switch {
	case remedy != "":
	case hasCode(err, codeAuthenticationFailed):
		remedy = fmt.Sprintf("the server refuses the user %q with this password: correct the user name or the password", o.Username)
	case hasCode(err, codeUnknownDatabase):
		remedy = fmt.Sprintf("the server has no database %s: correct the name, or let `jobstrom up` or `jobstrom run sink` create it", o.Database)
	case hasCode(err, codeAccessDenied):
		remedy = fmt.Sprintf("the server gives the user %q too few rights: grant them (docs/security.md lists what is needed)", o.Username)
	case errors.Is(err, syscall.ECONNREFUSED):
		remedy = "nothing listens there: start ClickHouse, or correct the address (the native protocol's port is 9000, with TLS 9440)"
	case strings.Contains(text, "unexpected packet [72]"): // 'H' of an answer in HTTP
		remedy = "an HTTP server answers there: give the port of the native protocol, 9000 where HTTP is 8123"
	case strings.Contains(text, "unexpected packet [21]"): // a TLS alert
		remedy = "the server speaks TLS there: give --clickhouse-tls, or the port without it"
	case errors.Is(err, io.EOF) && o.TLS.Enabled:
		remedy = "what listens there hangs up: leave --clickhouse-tls out, or give the port with TLS, usually 9440"
	case errors.Is(err, io.EOF):
		remedy = "what listens there hangs up: give --clickhouse-tls if it expects that, and see that it is ClickHouse's native protocol"
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(text, "i/o timeout"):
		remedy = fmt.Sprintf("no answer within %v: is that the native protocol's port, and does a firewall let it through?", o.DialTimeout)
	default:
		return err
	}
	return fmt.Errorf("%s: %w", remedy, err)
}

// Conn is the connection pool, for queries of other packages. The current database is the warehouse's.
func (w *Warehouse) Conn() driver.Conn { return w.conn }

// Close closes the connections.
func (w *Warehouse) Close() error { return w.conn.Close() }

// views are the names of the views that Counts counts.
var views = []string{"embeddings", "predictions", "labels", "dead_letters", "history", "training_runs"}

// Counts returns the number of rows of each view, by the view's name.
func (w *Warehouse) Counts(ctx context.Context) (map[string]uint64, error) {
	counts := make(map[string]uint64, len(views))
	for _, view := range views {
		var n uint64
		if err := w.conn.QueryRow(ctx, "SELECT count() FROM "+view).Scan(&n); err != nil {
			return nil, fmt.Errorf("counting %s: %w", view, err)
		}
		counts[view] = n
	}
	return counts, nil
}
