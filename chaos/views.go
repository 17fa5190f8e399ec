package chaos

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"jobstrom/kafka"
)

// readViews reads which vacancies ClickHouse's views hold, and the engine's version.
func readViews(ctx context.Context, addr string, raw kafka.TopicID, o *Observed) (version string, err error) {
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{addr}, Auth: clickhouse.Auth{Database: "jobstrom"}})
	if err != nil {
		return "", fmt.Errorf("reading ClickHouse: %w", err)
	}
	defer conn.Close()
	for view, into := range map[string]*[]Outcome{"predictions": &o.Predictions, "embeddings": &o.Embeddings, "dead_letters": &o.LetterRows} {
		if *into, err = readView(ctx, conn, view, raw, o.Raw); err != nil {
			return "", fmt.Errorf("reading the view %s: %w", view, err)
		}
	}
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return "", fmt.Errorf("reading ClickHouse's version: %w", err)
	}
	return version, nil
}

func readView(ctx context.Context, conn driver.Conn, view string, raw kafka.TopicID, ids map[Place]string) ([]Outcome, error) {
	rows, err := conn.Query(ctx, "SELECT raw_topic_id, raw_partition, raw_offset, vacancy_id FROM "+view)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Outcome
	for rows.Next() {
		var topic uuid.UUID
		var r Outcome
		if err := rows.Scan(&topic, &r.Raw.Partition, &r.Raw.Offset, &r.ID); err != nil {
			return nil, err
		}
		if kafka.TopicID(topic) != raw {
			r.Raw = nowhere
		}
		if r.ID == "" { // a letter of what could not be read
			r.ID = ids[r.Raw]
		}
		all = append(all, r)
	}
	return all, rows.Err()
}
