// Command start runs Apache Kafka on this machine until Ctrl-C: `make kafka`.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"jobstrom/cluster"
	"jobstrom/models"
)

func main() {
	brokers := flag.Int("brokers", 1, "1 or 3 brokers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *brokers); err != nil {
		fmt.Fprintln(os.Stderr, "make kafka:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, brokers int) error {
	native, err := models.NativeDir()
	if err != nil {
		return err
	}
	libs, err := cluster.FindLibs(native)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "jobstrom-kafka-")
	if err != nil {
		return fmt.Errorf("making a data folder: %w", err)
	}
	defer os.RemoveAll(dir)
	fmt.Printf("starting Apache Kafka, %d broker(s), in %s …\n", brokers, dir)
	c, err := cluster.Start(ctx, cluster.Options{Dir: dir, Brokers: brokers, Libs: libs, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer c.Stop()
	fmt.Printf("up: jobstrom up --brokers %s\nCtrl-C stops it and removes its data\n", strings.Join(c.Addrs(), ","))
	<-ctx.Done()
	return nil
}
