package warehouse

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
)

// erasureLine is a tombstone in an export, which is JSON line by line. The last line is the seal instead: a file that lacks its end would bring erased vacancies back.
type erasureLine struct {
	VacancyID string     `json:"vacancy_id,omitempty"`
	TopicID   *uuid.UUID `json:"topic_id,omitempty"`
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`
	ErasedAt  *time.Time `json:"erased_at,omitempty"`
}

type erasureSeal struct {
	Erasures *int   `json:"erasures"`
	SHA256   string `json:"sha256"`
}

// ExportErasures writes every tombstone and returns how many there were. The ids stand in it as they are.
func (w *Warehouse) ExportErasures(ctx context.Context, to io.Writer) (n int, err error) {
	hash := sha256.New()
	lines := json.NewEncoder(io.MultiWriter(to, hash))
	err = w.EachErasure(ctx, func(e Erasure) error {
		n++
		at := e.ErasedAt.UTC()
		return lines.Encode(erasureLine{e.VacancyID, &e.TopicID, e.Partition, e.Offset, &at})
	})
	if err == nil {
		err = json.NewEncoder(to).Encode(erasureSeal{&n, hex.EncodeToString(hash.Sum(nil))})
	}
	if err != nil {
		return n, fmt.Errorf("exporting erasures: %w", err)
	}
	return n, nil
}

// ImportErasures reads what ExportErasures wrote, and refuses it when a byte differs or its end is missing.
func ImportErasures(from io.Reader) ([]Erasure, error) {
	var erasures []Erasure
	lines, hash := bufio.NewReader(from), sha256.New()
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading erasures: the export ends at line %d, before its seal: it is cut off, use another one", number)
		}
		if err != nil {
			return nil, fmt.Errorf("reading erasures: %w", err)
		}
		var seal erasureSeal
		if json.Unmarshal(line, &seal) == nil && seal.Erasures != nil {
			if *seal.Erasures != len(erasures) || seal.SHA256 != hex.EncodeToString(hash.Sum(nil)) {
				return nil, fmt.Errorf("reading erasures: line %d, the seal, is not that of the lines before: the export was changed, use another one", number)
			}
			return erasures, nil
		}
		var e erasureLine
		if err := json.Unmarshal(line, &e); err != nil || e.VacancyID == "" || e.TopicID == nil || e.ErasedAt == nil {
			return nil, fmt.Errorf("reading erasures: line %d is no tombstone", number)
		}
		hash.Write(line)
		erasures = append(erasures, Erasure{e.VacancyID, *e.TopicID, e.Partition, e.Offset, *e.ErasedAt})
	}
}
