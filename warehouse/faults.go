package warehouse

import (
	"fmt"
	"strings"
)

// Codes of the server's exceptions that say what its machine lacks.
const (
	codeCannotWrite  = 75
	codeCannotFsync  = 76
	codeMemory       = 241
	codeNotEnough    = 243
	codeTooManyParts = 252
	codeReadOnly     = 242
)

// Explain adds to a statement's error what its server's operator can do, where that is known.
func Explain(err error) error {
	remedy := ""
	switch {
	case err == nil:
		return nil
	case hasCode(err, codeNotEnough), strings.Contains(err.Error(), "No space left on device"), hasCode(err, codeCannotWrite), hasCode(err, codeCannotFsync):
		remedy = "ClickHouse's disk is full or cannot be written: make room, or set --retention"
	case hasCode(err, codeMemory):
		remedy = "ClickHouse has too little memory: raise its max_server_memory_usage"
	case hasCode(err, codeTooManyParts):
		remedy = "ClickHouse merges too slowly: its disk or its processors are too slow or busy"
	case hasCode(err, codeReadOnly):
		remedy = "the table is read-only: see ClickHouse's log, its disk or its Keeper is away"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", remedy, err)
}
