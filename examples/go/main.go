// Command go publishes vacancies, consumes what becomes of them, or classifies one text. See ../README.md.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "publish":
		return publish(ctx, os.Stdin)
	case len(args) == 1 && args[0] == "consume":
		return consume(ctx, os.Stdout)
	case len(args) == 2 && args[0] == "classify":
		return classify(ctx, args[1], os.Stdout)
	}
	return fmt.Errorf("use publish < FILE, consume, or classify TEXT")
}

// connect returns a client of Kafka.
func connect(options ...kgo.Opt) (*kgo.Client, error) {
	brokers := strings.Split(setting("BROKERS", "127.0.0.1:9092"), ",")
	return kgo.NewClient(append(options, kgo.SeedBrokers(brokers...))...)
}

func setting(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }
