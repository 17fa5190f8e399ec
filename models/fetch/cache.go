package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// cache is a folder laid out as the package's comment says.
type cache string

// model is where the cache keeps what it knows of one model: a host and a name, both harmless as names of folders.
type model struct{ host, name string }

func (c cache) blob(hash string) string { return filepath.Join(string(c), "blobs", hash) }

func (c cache) snapshot(m model, commit string) string {
	return filepath.Join(string(c), "snapshots", m.host, m.name, commit)
}

func (c cache) listingFile(m model, commit string) string {
	return filepath.Join(string(c), "listings", m.host, m.name, commit+".json")
}

func (c cache) revisionFile(m model, revision string) string {
	return filepath.Join(string(c), "revisions", m.host, m.name, strings.ReplaceAll(revision, "/", "%2F"))
}

// lock waits until no other pull writes into the cache. The lock ends with the process, however that ends.
func (c cache) lock(ctx context.Context, waiting func()) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Join(string(c), "blobs"), 0o755); err != nil {
		return nil, fmt.Errorf("making the cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(string(c), "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the cache: %w", err)
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking the cache %s: %w", c, err)
		}
		if !told {
			waiting()
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for another pull into %s: %w", c, context.Cause(ctx))
		}
	}
}

// room returns the bytes that may still be written there.
func (c cache) room() (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(string(c), &s); err != nil {
		return 0, fmt.Errorf("asking for the room in %s: %w", c, err)
	}
	return int64(uint64(s.Bavail) * uint64(s.Bsize)), nil
}

// remember keeps a listing, and which commit a revision was.
func (c cache) remember(m model, revision string, l listing) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return errors.Join(replaceFile(c.listingFile(m, l.Commit), data), replaceFile(c.revisionFile(m, revision), []byte(l.Commit+"\n")))
}

// recall returns the listing of a revision as the hub gave it last.
func (c cache) recall(m model, revision string) (listing, error) {
	commit := revision
	if !commitID.MatchString(revision) {
		data, err := os.ReadFile(c.revisionFile(m, revision))
		if err != nil {
			return listing{}, err
		}
		if commit = strings.TrimSpace(string(data)); !commitID.MatchString(commit) {
			return listing{}, fmt.Errorf("%s holds no commit: remove it", c.revisionFile(m, revision))
		}
	}
	data, err := os.ReadFile(c.listingFile(m, commit))
	if err != nil {
		return listing{}, err
	}
	var l listing
	if err := json.Unmarshal(data, &l); err != nil {
		return listing{}, fmt.Errorf("reading %s: %w; remove it", c.listingFile(m, commit), err)
	}
	if err := l.check(); err != nil {
		return listing{}, fmt.Errorf("reading %s: %w; remove it", c.listingFile(m, commit), err)
	}
	return l, nil
}

// keep gives a whole, verified part file its name. Nobody is to write into a file that snapshots share.
func (c cache) keep(part, hash string) error {
	if err := os.Chmod(part, 0o444); err != nil {
		return err
	}
	return os.Rename(part, c.blob(hash))
}

// place puts a file's content into a folder under its name, as a link where that is allowed and possible. What is there already stays when
// it is the same.
func place(ctx context.Context, content string, f remoteFile, dir string, link bool) error {
	path := filepath.Join(dir, filepath.FromSlash(f.Name))
	if there, err := os.Stat(path); err == nil {
		if source, err := os.Stat(content); err == nil && os.SameFile(there, source) {
			return nil
		}
		if _, err := verifyFile(ctx, path, f); err == nil {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("placing %s: %w", f.Name, err)
	}
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !notExist(err) { // of a killed process
		return fmt.Errorf("placing %s: %w", f.Name, err)
	}
	if !link || os.Link(content, temporary) != nil { // another file system, or one without links
		if err := copyFile(ctx, content, temporary); err != nil {
			return errors.Join(fmt.Errorf("placing %s: %w", f.Name, err), os.Remove(temporary))
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("placing %s: %w", f.Name, err)
	}
	return nil
}

func copyFile(ctx context.Context, from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, cancelled(ctx, in))
	return err
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing into the cache: %w", err)
	}
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return fmt.Errorf("writing into the cache: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing into the cache: %w", err)
	}
	return nil
}
