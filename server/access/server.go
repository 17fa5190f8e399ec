package access

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds are what a connection may take, so that slow and many ones (slowloris) do not keep others out. A stream that lasts longer than Write moves its deadline with an
// http.ResponseController.
type Bounds struct {
	Header time.Duration // to send the header, default 10 s
	Read   time.Duration // to send all of a request, default a minute
	Write  time.Duration // from the header's end to the answer's, default a minute
	Idle   time.Duration // between two requests, default two minutes
	// HeaderBytes bound a request's first line and header, default 64 KiB.
	HeaderBytes int
	// Connections that are open at once, default 1024; further ones wait.
	Connections int
}

// EnsureDefaults fills what is zero.
func (b *Bounds) EnsureDefaults() {
	for _, d := range []struct {
		value *time.Duration
		is    time.Duration
	}{{&b.Header, 10 * time.Second}, {&b.Read, time.Minute}, {&b.Write, time.Minute}, {&b.Idle, 2 * time.Minute}} {
		if *d.value == 0 {
			*d.value = d.is
		}
	}
	if b.HeaderBytes == 0 {
		b.HeaderBytes = 64 << 10
	}
	if b.Connections == 0 {
		b.Connections = 1024
	}
}

// NewServer returns a server and the listener it is to serve, both within bounds.
func NewServer(listener net.Listener, handler http.Handler, b Bounds, log *slog.Logger) (*http.Server, net.Listener) {
	b.EnsureDefaults()
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: b.Header, ReadTimeout: b.Read, WriteTimeout: b.Write, IdleTimeout: b.Idle, MaxHeaderBytes: b.HeaderBytes,
		ErrorLog: slog.NewLogLogger(complaints{log.Handler()}, slog.LevelDebug),
	}, netutil.LimitListener(listener, b.Connections)
}

// complaints takes what net/http says of connections: at the debug level and without addresses, which are personal. A handler's panic is an error, without its stack and value.
type complaints struct{ slog.Handler }

var remote = regexp.MustCompile(`(from|serving) \S+:\d+`)

func (c complaints) Enabled(context.Context, slog.Level) bool { return true }

func (c complaints) Handle(ctx context.Context, r slog.Record) error {
	text, _, _ := strings.Cut(r.Message, "\n")
	said := slog.NewRecord(r.Time, slog.LevelDebug, remote.ReplaceAllString(text, "$1 a client"), 0)
	if strings.HasPrefix(text, "http: panic") {
		said = slog.NewRecord(r.Time, slog.LevelError, "a route panicked, its connection was closed: this is a defect", 0)
	}
	if !c.Handler.Enabled(ctx, said.Level) {
		return nil
	}
	return c.Handler.Handle(ctx, said)
}
