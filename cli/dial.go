package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/warehouse"
)

// kafkaOptions are those of commands that talk to a flow that runs already.
func (a *app) kafkaOptions() kafka.Options {
	o := a.config.kafkaOptions(a.log)
	if len(o.Brokers) == 0 {
		o.Brokers = []string{fmt.Sprintf("127.0.0.1:%d", a.config.KafkaPort)}
	}
	return o
}

// dial reaches Kafka for such a command.
func (a *app) dial(ctx context.Context) (*kgo.Client, error) {
	return a.dialWith(ctx, a.kafkaOptions())
}

// dialToWrite reaches Kafka for a command that makes new records.
func (a *app) dialToWrite(ctx context.Context) (*kgo.Client, error) {
	o := a.kafkaOptions()
	var err error
	if o.Frames, err = a.frames(ctx); err != nil {
		return nil, err
	}
	return a.dialWith(ctx, o)
}

func (a *app) dialWith(ctx context.Context, o kafka.Options) (*kgo.Client, error) {
	client, err := kafka.NewClient(o)
	if err != nil {
		return nil, err
	}
	if err := kafka.Reach(ctx, client, 5*time.Second); err != nil {
		client.Close()
		if len(a.config.Brokers) == 0 {
			err = fmt.Errorf("%w (start jobstrom up first, or name --brokers)", err)
		}
		return nil, err
	}
	return client, nil
}

// warehouseOptions are those of such commands.
func (a *app) warehouseOptions() warehouse.Options {
	o := a.config.warehouseOptions()
	if len(o.Addr) == 0 {
		o.Addr = []string{fmt.Sprintf("127.0.0.1:%d", a.config.ClickHousePort)}
	}
	return o
}

// dialWarehouse reaches ClickHouse for such a command.
func (a *app) dialWarehouse(ctx context.Context) (*warehouse.Warehouse, error) {
	return a.openWarehouse(ctx, a.warehouseOptions())
}

// openWarehouse reaches ClickHouse with options of its own.
func (a *app) openWarehouse(ctx context.Context, o warehouse.Options) (*warehouse.Warehouse, error) {
	w, err := warehouse.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("%w (start jobstrom up first, or name --clickhouse)", err)
	}
	return w, nil
}

// storedVectors opens the ClickHouse that --embed-reuse takes vectors from, and which may be away; nil without that setting.
func (a *app) storedVectors(ctx context.Context) (*warehouse.Warehouse, error) {
	if !a.config.EmbedReuse {
		return nil, nil
	}
	options := a.warehouseOptions()
	options.Lazy = true
	return warehouse.Open(ctx, options)
}
