package fetch

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
)

// sums computes the hash that a file is checked against and the SHA-256 that it is known by here.
type sums struct {
	sha256 hash.Hash
	// git is the SHA-1 of the git blob, of "blob SIZE", a zero byte and the content; nil unless it is asked for.
	git hash.Hash
}

func newSums(f remoteFile) sums {
	s := sums{sha256: sha256.New()}
	if len(f.Hash) == 2*sha1.Size {
		s.git = sha1.New()
		fmt.Fprintf(s.git, "blob %d\x00", f.Size)
	}
	return s
}

func (s sums) Write(p []byte) (int, error) {
	if s.git != nil {
		s.git.Write(p) // never fails
	}
	return s.sha256.Write(p)
}

func (s sums) sum() string { return hex.EncodeToString(s.sha256.Sum(nil)) }

// check compares with the hash that the hub tells, where it tells one.
func (s sums) check(f remoteFile) error {
	got := s.sum()
	if s.git != nil {
		got = hex.EncodeToString(s.git.Sum(nil))
	}
	if f.Hash != "" && got != f.Hash {
		return fmt.Errorf("%s hashes to %s, the hub says %s (%w)", f.Name, got, f.Hash, ErrCorrupt)
	}
	return nil
}

// verifyFile reads a file, compares it with size and hash, and returns its SHA-256.
func verifyFile(ctx context.Context, path string, f remoteFile) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if f.Size >= 0 && info.Size() != f.Size {
		return "", fmt.Errorf("%s has %d bytes, the hub says %d (%w)", f.Name, info.Size(), f.Size, ErrCorrupt)
	}
	s := newSums(f)
	if _, err := io.Copy(s, cancelled(ctx, file)); err != nil {
		return "", err
	}
	return s.sum(), s.check(f)
}

// cancelled returns a reader that ends with ctx: gigabytes take seconds to hash.
func cancelled(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}
