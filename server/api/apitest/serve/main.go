// Command serve answers the API of a flow in memory on a free loopback port, for make test-api. It prints its address and stops by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"jobstrom/health"
	"jobstrom/pipeline"
	"jobstrom/server"
	"jobstrom/server/api"
	"jobstrom/server/api/apitest"
)

func main() {
	span := flag.Duration("for", 20*time.Minute, "stop after this `time`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *span)
	defer cancel()
	if err := serve(ctx); err != nil {
		slog.Error("serving", "error", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	flow, err := apitest.New()
	if err != nil {
		return err
	}
	sources := flow.Sources()
	sources.Classify = pipeline.NewLimit(sources.Classify, 512).Do
	handler, err := server.New(ctx, server.Options{
		API:      api.Options{Sources: sources, Limits: api.Limits{Heartbeat: time.Second}},
		Problems: func() []health.Problem { return nil }, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	fmt.Println("http://" + listener.Addr().String())
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
