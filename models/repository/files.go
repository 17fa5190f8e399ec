package repository

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	maxConfig    = 1 << 20   // bytes of a configuration file
	maxTokenizer = 256 << 20 // bytes of a tokenizer.json; those of 250,000 tokens have 9 to 17 million
)

// folder is the repository's folder.
type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), filepath.FromSlash(name)) }

// exists says whether there is a file of this name, which has / between its parts.
func (f folder) exists(name string) bool {
	info, err := os.Stat(f.path(name))
	return err == nil && info.Mode().IsRegular()
}

// read reads a file of at most so many bytes. What is missing wraps fs.ErrNotExist.
func (f folder) read(name string, most int64) ([]byte, error) {
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading %s: it is no regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", name, most)
	}
	return data, nil
}

// json decodes a file and says whether it is there.
func (f folder) json(name string, most int64, into any) (bool, error) {
	data, err := f.read(name, most)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return true, fmt.Errorf("reading %s: %w; fetch it again", name, err)
	}
	return true, nil
}
