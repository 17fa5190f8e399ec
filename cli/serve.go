package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/server"
	"jobstrom/server/access"
	"jobstrom/server/api"
	"jobstrom/warehouse"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the web page and the API",
		Long: `Run the web page and the API. With --brokers the live classifier follows the registry on Kafka, vacancies and labels can be published, and what happens in the flow is shown;
without, the default classifier answers. With --clickhouse there are similar vacancies, what became of those that were published, and drift. Either may be away for a while: only what needs it says so.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.config.checkReach(); err != nil {
				return err
			}
			follow := len(a.config.Brokers) > 0
			f, err := a.start(cmd.Context(), parts{service: "serve", kafka: follow, pipeline: true, extracts: true, encodes: true, classifies: true})
			if err != nil {
				return err
			}
			defer f.stop()
			if len(a.config.ClickHouse) > 0 {
				if err := f.askWarehouse(cmd.Context()); err != nil {
					return err
				}
			}
			if follow {
				if err := f.ensureTopics(cmd.Context(), f.encoder); err != nil {
					return err
				}
				if err := f.watchRegistry(cmd.Context()); err != nil {
					return err
				}
			}
			web, err := f.serve()
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s (%s)\n", a.config.webURL(web), a.config.reachNote())
			return f.wait()
		},
	}
}

// askWarehouse opens a ClickHouse that another process keeps, and which may be away.
func (f *flow) askWarehouse(ctx context.Context) error {
	options := f.config.warehouseOptions()
	options.Lazy = true
	w, err := warehouse.Open(ctx, options)
	if err != nil {
		return err
	}
	f.stops = append(f.stops, func() { _ = w.Close() })
	f.warehouse = w
	return nil
}

// serve adds the HTTP server and returns its address.
func (f *flow) serve() (string, error) {
	certificate, err := f.config.serverTLS().Config(f.log)
	if err != nil {
		return "", err
	}
	options := f.config.accessOptions(f.config.HTTP)
	options.Board = f.board
	sources, err := f.apiSources()
	if err != nil {
		return "", err
	}
	handler, err := server.New(f.work, server.Options{
		API:    api.Options{Sources: sources, Limits: f.config.apiLimits(), Version: version},
		Access: options, Problems: f.board.Problems, Gatherer: f.metrics, Registerer: f.metrics, Tracing: f.tracing, Logger: f.log,
	})
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", f.config.HTTP)
	if err != nil {
		return "", fmt.Errorf("listening on %s: %w: choose another address with --http", f.config.HTTP, err)
	}
	f.serveHTTP(listener, handler, certificate)
	f.board.Clear(starting)
	return listener.Addr().String(), nil
}

// serveMetrics adds a server of health and metrics alone, for processes without a web page.
func (f *flow) serveMetrics() error {
	listener, err := net.Listen("tcp", f.config.MetricsAddress)
	if err != nil {
		return fmt.Errorf("listening on %s: %w: choose another address with --metrics-address", f.config.MetricsAddress, err)
	}
	f.serveHTTP(listener, server.NewWatched(f.board.Problems, f.metrics), nil)
	f.log.Info("serving health and metrics", "address", listener.Addr())
	return nil
}

// serveHTTP adds a server, with TLS when there is a certificate.
func (f *flow) serveHTTP(listener net.Listener, handler http.Handler, certificate *tls.Config) {
	web, listener := access.NewServer(listener, handler, access.Bounds{Connections: f.config.HTTPConnections}, f.log)
	serve := web.Serve
	if web.TLSConfig = certificate; certificate != nil {
		serve = func(l net.Listener) error { return web.ServeTLS(l, "", "") }
	}
	f.actors.Go(func() error {
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving HTTP: %w", err)
		}
		return nil
	})
	f.actors.Go(func() error {
		<-f.work.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := web.Shutdown(ctx); err != nil {
			f.log.Warn("callers have not ended in time: they are hung up on", "reason", err)
			_ = web.Close()
		}
		return nil
	})
}
