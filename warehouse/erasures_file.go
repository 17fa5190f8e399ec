package warehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"jobstrom/sealed"
)

// erasureLine is a tombstone in an export.
type erasureLine struct {
	VacancyID string     `json:"vacancy_id"`
	TopicID   *uuid.UUID `json:"topic_id"`
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`
	ErasedAt  *time.Time `json:"erased_at"`
}

// ExportErasures writes every tombstone, a line of JSON each, and a seal: a file that lacks its end would bring erased vacancies back. The ids stand in it as they are.
func (w *Warehouse) ExportErasures(ctx context.Context, to io.Writer) (n int, err error) {
	lines := sealed.NewWriter(to)
	err = w.EachErasure(ctx, func(e Erasure) error {
		at := e.ErasedAt.UTC()
		return lines.Write(erasureLine{e.VacancyID, &e.TopicID, e.Partition, e.Offset, &at})
	})
	if err == nil {
		err = lines.Close()
	}
	if err != nil {
		return 0, fmt.Errorf("exporting erasures: %w", err)
	}
	return lines.Lines(), nil
}

// ImportErasures reads what ExportErasures wrote, all of it or nothing.
func ImportErasures(from io.Reader) (erasures []Erasure, err error) {
	err = sealed.Read(from, func(line []byte) error {
		var e erasureLine
		if err := json.Unmarshal(line, &e); err != nil || e.VacancyID == "" || e.TopicID == nil || e.ErasedAt == nil {
			return errors.New("it is no tombstone")
		}
		erasures = append(erasures, Erasure{e.VacancyID, *e.TopicID, e.Partition, e.Offset, *e.ErasedAt})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading erasures: %w", err)
	}
	return erasures, nil
}
