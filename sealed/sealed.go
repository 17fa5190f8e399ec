// Package sealed writes and reads files of JSON lines that end with a seal: how many lines stand before it, and their SHA-256. Who reads such a file knows that it is whole.
package sealed

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ErrDamaged is wrapped by errors of files that are cut off or were changed.
var ErrDamaged = errors.New("the file is damaged: use another one")

// seal is the last line. No other line has the field sealed.
type seal struct {
	Sealed *int   `json:"sealed"`
	SHA256 string `json:"sha256"`
}

// Writer writes a file. It ends with Close, without which nobody reads it.
type Writer struct {
	to   io.Writer
	hash hash.Hash
	n    int
}

// NewWriter returns a writer of a file's lines.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to, hash: sha256.New()} }

// Write adds a line: a value that JSON can hold, and no field "sealed".
func (w *Writer) Write(line any) error {
	w.n++
	return json.NewEncoder(io.MultiWriter(w.to, w.hash)).Encode(line)
}

// Lines is how many were written.
func (w *Writer) Lines() int { return w.n }

// Close writes the seal. What lies below stays open.
func (w *Writer) Close() error {
	return json.NewEncoder(w.to).Encode(seal{&w.n, hex.EncodeToString(w.hash.Sum(nil))})
}

// Read calls f with each line of a file. What f was given counts only when Read returns nil: the seal comes last. Its errors name the line.
func Read(from io.Reader, f func(line []byte) error) error {
	lines, sum := bufio.NewReader(from), sha256.New()
	for n := 0; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: the file ends before its seal, it is cut off: %w", n+1, ErrDamaged)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
		var s seal
		if json.Unmarshal(line, &s) == nil && s.Sealed != nil {
			if *s.Sealed != n || s.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
				return fmt.Errorf("line %d: the seal is not that of the lines before: %w", n+1, ErrDamaged)
			}
			if _, err := lines.ReadByte(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("line %d: something stands behind the seal: %w", n+2, ErrDamaged)
			}
			return nil
		}
		sum.Write(line)
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
	}
}
