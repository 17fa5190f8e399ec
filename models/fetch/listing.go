package fetch

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// remoteFile is a file of a listing.
type remoteFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	// Hash is hex: SHA-256 (64 digits) or SHA-1 of a git blob (40 digits). Empty where the hub's listing tells none.
	Hash string `json:"hash"`
}

// listing is what a commit of a repository holds.
type listing struct {
	Commit string       `json:"commit"`
	Files  []remoteFile `json:"files"`
}

// Bounds of what a hub answers.
const (
	longestListing = 32 << 20
	mostFiles      = 100_000
)

var fileHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// parseHub reads the hub's answer about a model at a revision, asked for with blobs=true.
func parseHub(data []byte) (listing, error) {
	var answer struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name   string `json:"rfilename"`
			Size   *int64 `json:"size"`
			BlobID string `json:"blobId"`
			LFS    *struct {
				SHA256 string `json:"sha256"`
				Size   *int64 `json:"size"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return listing{}, fmt.Errorf("the answer is not a hub's: %w; is the endpoint right?", err)
	}
	l := listing{Commit: answer.SHA}
	for _, s := range answer.Siblings {
		f := remoteFile{Name: s.Name, Size: -1, Hash: s.BlobID}
		if s.Size != nil {
			f.Size = *s.Size
		}
		if s.LFS != nil { // the blob is a pointer then
			f.Hash = s.LFS.SHA256
			if s.LFS.Size != nil {
				f.Size = *s.LFS.Size
			}
		}
		if s.Size != nil && *s.Size < 0 || s.LFS != nil && s.LFS.Size != nil && *s.LFS.Size < 0 {
			return listing{}, fmt.Errorf("the size of %.*q is below 0 (%w)", longestReplied, s.Name, ErrHostile)
		}
		if f.Size < 0 { // not told: then neither is worth anything
			f.Hash = ""
		}
		l.Files = append(l.Files, f)
	}
	return l, l.check()
}

// check refuses a listing that could do harm, from a hub or from the cache.
func (l listing) check() error {
	if !commitID.MatchString(l.Commit) {
		return fmt.Errorf("the commit %.*q is not 40 or 64 hex digits: is the endpoint right?", longestReplied, l.Commit)
	}
	if len(l.Files) > mostFiles {
		return fmt.Errorf("it has %d files, more than %d (%w)", len(l.Files), mostFiles, ErrTooLarge)
	}
	seen := make(map[string]bool, len(l.Files))
	for _, f := range l.Files {
		if err := checkFileName(f.Name); err != nil {
			return err
		}
		if seen[f.Name] {
			return fmt.Errorf("file name %.*q is listed twice (%w)", longestReplied, f.Name, ErrHostile)
		}
		seen[f.Name] = true
		if f.Hash != "" && !fileHash.MatchString(f.Hash) {
			return fmt.Errorf("the hash %.*q of %.*q is not 40 or 64 hex digits (%w)", longestReplied, f.Hash, longestReplied, f.Name, ErrHostile)
		}
		if f.Size < -1 || f.Size < 0 && f.Hash != "" {
			return fmt.Errorf("the size of %.*q is below 0 (%w)", longestReplied, f.Name, ErrHostile)
		}
	}
	return nil
}
