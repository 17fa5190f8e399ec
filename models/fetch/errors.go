package fetch

import "errors"

var (
	// ErrDenied is returned when the hub refuses: the model is private, gated, or the token is wrong.
	ErrDenied = errors.New("the hub refuses")
	// ErrNotFound is returned when the hub has no such model, revision or file.
	ErrNotFound = errors.New("not found")
	// ErrUnreachable is returned when the hub did not answer, or not usefully, as often as it was tried.
	ErrUnreachable = errors.New("giving up")
	// ErrCorrupt is returned when what came is not what its hash says.
	ErrCorrupt = errors.New("the file is not what its hash says")
	// ErrHostile is returned for what no honest hub sends: file names that lead elsewhere, sizes below 0.
	ErrHostile = errors.New("refused as unsafe")
	// ErrTooLarge is returned when the files exceed Options.MaxBytes or the room on the disk.
	ErrTooLarge = errors.New("too large")
	// ErrIncomplete is returned when a model lacks a file that an encoder needs.
	ErrIncomplete = errors.New("a file is missing")
	// ErrNotCached is returned offline when the cache lacks something.
	ErrNotCached = errors.New("not in the cache")
)
