package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
)

// publish sends vacancies, a line of JSON each. The client is idempotent and sends equal keys to equal partitions by itself.
func publish(ctx context.Context, in io.Reader) error {
	client, err := connect(kgo.DefaultProduceTopic("vacancies.raw"))
	if err != nil {
		return err
	}
	defer client.Close()
	var delivered kgo.FirstErrPromise
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 2<<20) // a text may have a megabyte
	for lines.Scan() {
		record := &kgo.Record{Value: bytes.Clone(lines.Bytes())}
		var vacancy struct{ ID string }
		if json.Unmarshal(record.Value, &vacancy) == nil && vacancy.ID != "" { // what is no JSON becomes a dead letter, which says so
			record.Key = []byte(vacancy.ID)
		}
		client.Produce(ctx, record, delivered.Promise())
	}
	return errors.Join(lines.Err(), delivered.Err())
}
