package models

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// WriteFolder makes an encoder's folder, whole or not at all: write fills a folder beside it, card and all, which then takes its place. A folder that is there is replaced
// when it is empty or holds an encoder, and nothing else.
func WriteFolder(dir string, write func(part string) (EncoderCard, error)) (EncoderCard, error) {
	dir = filepath.Clean(dir)
	if err := replaceable(dir); err != nil {
		return EncoderCard{}, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return EncoderCard{}, err
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".part-")
	if err != nil {
		return EncoderCard{}, err
	}
	defer os.RemoveAll(part)
	card, err := write(part)
	if err != nil {
		return EncoderCard{}, err
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return EncoderCard{}, err
	}
	if err := replaceable(dir); err != nil { // writing took a while
		return EncoderCard{}, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return EncoderCard{}, err
	}
	return card, os.Rename(part, dir)
}

// replaceable says why a folder must not be replaced: it holds something that is not an encoder.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	known := []string{CardFile, "model.onnx", "tokenizer.json"}
	if card, err := ReadEncoderCard(dir); err == nil {
		for _, f := range card.files() {
			known = append(known, f.Name)
		}
	}
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !slices.Contains(known, name) {
			err = fmt.Errorf("the folder %s holds %s, which is no part of an encoder: name another folder, or empty this one", dir, name)
		}
		return err
	})
}

// WriteFile writes a file of an encoder's folder through to the disk and hashes it on the way. The name has / between its parts.
func WriteFile(dir, name string, write func(io.Writer) error) (File, error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return File{}, err
	}
	f, err := os.Create(path)
	if err != nil {
		return File{}, err
	}
	h := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, h), 1<<20)
	if err := errors.Join(write(w), w.Flush(), f.Sync(), f.Close()); err != nil {
		return File{}, fmt.Errorf("writing %s: %w", name, err)
	}
	return File{Name: name, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}
