// Command serve answers the API of a flow in memory on a free loopback port, for make test-api. It prints its
// address and a token for all of it, and stops by itself.
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
	"path/filepath"
	"time"

	"jobstrom/health"
	"jobstrom/pipeline"
	"jobstrom/server"
	"jobstrom/server/access"
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
	dir, err := os.MkdirTemp("", "jobstrom-api")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tokens := filepath.Join(dir, "tokens.yaml")
	admin, secret := access.NewToken("admin", []access.Scope{access.Admin}, time.Now(), time.Time{})
	if err := access.ChangeTokens(tokens, func([]access.Token) ([]access.Token, error) { return []access.Token{admin}, nil }); err != nil {
		return err
	}
	handler, err := server.New(ctx, server.Options{
		API:      api.Options{Sources: sources, Limits: api.Limits{Heartbeat: time.Second}},
		Access:   access.Options{Tokens: tokens},
		Problems: func() []health.Problem { return nil }, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web, listener := access.NewServer(listener, handler, access.Bounds{}, slog.Default())
	context.AfterFunc(ctx, func() { _ = web.Close() })
	go happen(ctx, flow)
	fmt.Printf("http://%s %s\n", listener.Addr(), secret.Reveal())
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// happen lets something happen all the time, so that whoever follows has something to read.
func happen(ctx context.Context, flow *apitest.Flow) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
			flow.Happen(api.Event{Kind: "classified", At: time.Now().UTC(), ID: "a", Category: flow.Taxonomy.Categories[4].Name, CategoryIndex: 4, Confidence: .8, Model: apitest.Model})
		}
	}
}
