package trainer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"syscall"
)

// recipe rises with every change by which the same setting gives another classifier or other figures.
const recipe = 1

// Journal is a file of finished trials, a line of JSON each, from which a sweep goes on after it was cancelled or killed. It
// holds figures and curves, no classifiers: the best one is fitted again, which gives the same bytes and keeps a journal of
// thousands of settings small. Failures are not in it: a setting that failed is tried again.
type Journal struct {
	file  *os.File
	lines []journalLine
	end   int64 // of the last whole line
}

// journalKey says which trials may stand beside each other. What differs in it is never mixed.
type journalKey struct {
	// Examples is the fingerprint of both parts.
	Examples      string  `json:"examples"`
	Seed          uint64  `json:"seed"`
	MaxIterations int     `json:"max_iterations"`
	Tolerance     float64 `json:"tolerance"`
	Recipe        int     `json:"recipe"`
	// Machine is the kind of processor.
	Machine string `json:"machine"`
}

type journalLine struct {
	Key   journalKey `json:"key"`
	Trial Trial      `json:"trial"`
}

// OpenJournal opens a journal, or makes an empty one. A last line that was being written when the process was killed does
// not count. One sweep at a time may have it.
func OpenJournal(path string) (_ *Journal, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("opening the journal %s: another sweep has it (%w)", path, err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	j := &Journal{file: f}
	if j.lines, j.end, err = parseJournal(data); err != nil {
		return nil, fmt.Errorf("reading the journal %s: %w; mend or remove it", path, err)
	}
	return j, nil
}

// lineStart is how every line begins.
const lineStart = `{"key":{"examples":"`

// parseJournal reads whole lines, and returns where the last of them ends.
func parseJournal(data []byte) (lines []journalLine, end int64, err error) {
	for n := 1; ; n++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		// What is not whole will be overwritten, so it must be sure that the file is a journal.
		if start := lineStart[:min(len(lineStart), len(line))]; !strings.HasPrefix(string(line), start) || whole && len(line) < len(lineStart) {
			return nil, 0, fmt.Errorf("line %d (%.40q) does not begin with %s", n, line, lineStart)
		}
		if !whole {
			return lines, end, nil
		}
		var l journalLine
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", n, err)
		}
		if err := l.Trial.Setting.Validate(); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", n, err)
		}
		if l.Trial.Error != "" {
			return nil, 0, fmt.Errorf("line %d has a trial that failed: %s", n, l.Trial.Error)
		}
		lines, data, end = append(lines, l), rest, end+int64(len(line))+1
	}
}

// finished returns the trials of a key, and tells the logger of each other one.
func (j *Journal) finished(key journalKey, logger *slog.Logger) map[Setting]Trial {
	finished := map[Setting]Trial{}
	for i, l := range j.lines {
		if l.Key != key {
			logger.Warn("a trial of the journal does not count: its examples or options are others", "journal", j.file.Name(), "line", i+1, "setting", l.Trial.Setting, "differs", l.Key.difference(key))
			continue
		}
		if _, twice := finished[l.Trial.Setting]; !twice {
			finished[l.Trial.Setting] = l.Trial
		}
	}
	return finished
}

// difference names the first thing in which keys differ.
func (k journalKey) difference(other journalKey) string {
	switch {
	case k.Examples != other.Examples:
		return "examples"
	case k.Seed != other.Seed:
		return "seed"
	case k.MaxIterations != other.MaxIterations:
		return "max iterations"
	case k.Tolerance != other.Tolerance:
		return "tolerance"
	case k.Recipe != other.Recipe:
		return "version of the trainer"
	}
	return "kind of processor"
}

// add writes a trial and waits until the disk has it. It takes the place of a line that was not whole.
func (j *Journal) add(key journalKey, t Trial) error {
	l := journalLine{Key: key, Trial: t}
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("writing %s to the journal: %w", t.Setting, err)
	}
	if err := j.file.Truncate(j.end); err != nil {
		return fmt.Errorf("writing to the journal: %w", err)
	}
	if _, err := j.file.WriteAt(append(data, '\n'), j.end); err != nil {
		return fmt.Errorf("writing to the journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("writing to the journal: %w", err)
	}
	l.Trial.Classifier = nil
	j.lines, j.end = append(j.lines, l), j.end+int64(len(data))+1
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// fingerprint is the hex SHA-256 of everything in examples that a fit or its figures depend on.
func fingerprint(categories int, parts ...Examples) string {
	h := sha256.New()
	var buffer []byte
	number := func(v uint64) { buffer = binary.LittleEndian.AppendUint64(buffer, v) }
	flush := func() {
		h.Write(buffer)
		buffer = buffer[:0]
	}
	number(uint64(categories))
	for _, e := range parts {
		// Lengths come first, so that no two examples have the same bytes.
		for _, n := range []int{e.Len(), len(e.Targets), len(e.Offsets), len(e.Weights)} {
			number(uint64(n))
		}
		for i, v := range e.Vectors {
			number(uint64(len(v)))
			for _, x := range v {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(x))
			}
			number(uint64(e.Categories[i]))
			if e.Targets != nil {
				for _, p := range e.Targets[i] {
					buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(p))
				}
			}
			if e.Offsets != nil {
				for _, s := range e.Offsets[i] {
					number(math.Float64bits(s))
				}
			}
			if e.Weights != nil {
				number(math.Float64bits(e.Weights[i]))
			}
			flush()
		}
	}
	flush()
	return hex.EncodeToString(h.Sum(nil))
}
