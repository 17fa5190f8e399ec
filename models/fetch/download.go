package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
)

// transfer is a file on its way into a part file.
type transfer struct {
	client *client
	file   remoteFile
	path   string // escaped, below the client's base
	part   *os.File
	sums   sums
	// done is how much of the part file is good; furthest how much ever was, so that starting over at the same place is no progress.
	done, furthest int64
	// most bounds the file: its size, or what is left to take where that is unknown.
	most int64
	// version names the server's version of the file where no hash will tell that two halves do not fit (If-Range).
	version string
}

// download brings a file into the part file at partPath and returns its SHA-256. It goes on where an earlier process ended when the file's
// hash is known; else it starts over. The part file of a failed transfer stays unless it is known to be wrong.
func (c *client) download(ctx context.Context, f remoteFile, path, partPath string, most int64) (sha256 string, err error) {
	part, err := os.OpenFile(partPath, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	t := &transfer{client: c, file: f, path: path, part: part, sums: newSums(f), most: most}
	if f.Hash == "" {
		err = t.restart()
	} else {
		t.most = f.Size
		err = t.takeUp(ctx)
	}
	if err != nil {
		return "", err
	}
	for resumed := t.done > 0; ; resumed = false {
		if err := c.retry(ctx, func() (bool, error) { return t.attempt(ctx) }); err != nil {
			return "", err
		}
		wrong := t.sums.check(f)
		if wrong == nil {
			break
		}
		if err := t.restart(); err != nil {
			return "", errors.Join(wrong, err)
		}
		if !resumed { // what an earlier process left may have been the wrong half, so only a file that came whole is judged
			return "", errors.Join(wrong, os.Remove(partPath))
		}
		t.furthest = 0
	}
	if err := part.Sync(); err != nil {
		return "", err
	}
	return t.sums.sum(), nil
}

// takeUp reads what an earlier process left.
func (t *transfer) takeUp(ctx context.Context) error {
	info, err := t.part.Stat()
	if err != nil {
		return err
	}
	if info.Size() > t.file.Size {
		return t.restart()
	}
	t.done, err = io.Copy(t.sums, cancelled(ctx, t.part))
	t.furthest = t.done
	return err
}

func (t *transfer) restart() error {
	t.done, t.sums, t.version = 0, newSums(t.file), ""
	if err := t.part.Truncate(0); err != nil {
		return err
	}
	_, err := t.part.Seek(0, io.SeekStart)
	return err
}

// attempt asks for what is missing and appends what comes. further says that the transfer is further than ever.
func (t *transfer) attempt(ctx context.Context) (further bool, err error) {
	if t.file.Hash != "" && t.done == t.file.Size {
		return false, nil
	}
	one, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if t.done > 0 && t.file.Hash == "" && t.version == "" { // nothing would tell that two halves do not fit
		if err := t.restart(); err != nil {
			return false, err
		}
	}
	request, err := t.client.request(one, http.MethodGet, t.path)
	if err != nil {
		return false, err
	}
	if t.done > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", t.done))
		if t.version != "" {
			request.Header.Set("If-Range", t.version)
		}
	}
	response, err := t.client.do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusOK: // from the beginning, also when it was asked for the rest
		if err := t.restart(); err != nil {
			return false, err
		}
		t.version = strong(response.Header.Get("ETag"))
	case response.StatusCode == http.StatusPartialContent && strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", t.done)):
	case response.StatusCode == http.StatusPartialContent, response.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		said := fmt.Sprintf("status %d, %.50q", response.StatusCode, response.Header.Get("Content-Range"))
		if t.done == 0 {
			return false, fmt.Errorf("the server answers a range that was not asked for: %s", said)
		}
		wrong := &transient{err: fmt.Errorf("the server has no bytes from %d on: %s", t.done, said)}
		return false, errors.Join(wrong, t.restart())
	default:
		return false, t.client.refusal(response)
	}
	return t.receive(one, response, cancel)
}

// receive appends an answer's body.
func (t *transfer) receive(ctx context.Context, response *http.Response, cancel context.CancelCauseFunc) (further bool, err error) {
	total := t.file.Size
	if total < 0 && response.ContentLength >= 0 {
		total = t.done + response.ContentLength
	}
	tooLarge := func() error {
		if t.file.Hash != "" {
			return fmt.Errorf("%s is longer than the %d bytes that the hub says (%w)", t.file.Name, t.file.Size, ErrCorrupt)
		}
		return fmt.Errorf("%s exceeds the %d bytes that are left for it: allow more with --max-bytes (%w)", t.file.Name, t.most, ErrTooLarge)
	}
	if total > t.most || response.ContentLength > t.most-t.done {
		return false, errors.Join(tooLarge(), t.restart())
	}
	body, stop := t.client.arriving(ctx, response.Body, cancel)
	defer stop()
	buffer := make([]byte, 256<<10)
	for {
		n, err := body.Read(buffer)
		if int64(n) > t.most-t.done {
			return false, errors.Join(tooLarge(), t.restart())
		}
		if _, err := t.part.Write(buffer[:n]); err != nil {
			return false, err
		}
		t.sums.Write(buffer[:n]) // never fails
		t.done += int64(n)
		if n > 0 {
			t.client.options.Progress(t.file.Name, t.done, max(total, 0))
		}
		if err == nil {
			continue
		}
		further = t.done > t.furthest
		t.furthest = max(t.furthest, t.done)
		if err == io.EOF && (total < 0 || t.done == total) {
			return further, nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return further, &transient{err: fmt.Errorf("receiving %s, %d bytes so far: %w", t.file.Name, t.done, err)}
	}
}

// strong returns an ETag that stands for the very bytes, or nothing.
func strong(tag string) string {
	if strings.HasPrefix(tag, `"`) {
		return tag
	}
	return ""
}

// describe asks for size and hash of a file that the listing does not tell them of. The hub says them in its own answer, before it redirects to a store.
func (c *client) describe(ctx context.Context, f remoteFile, path string) (remoteFile, error) {
	asking := *c.http
	asking.CheckRedirect = func(next *http.Request, before []*http.Request) error {
		if next.URL.Host != before[0].URL.Host {
			return http.ErrUseLastResponse
		}
		return checkRedirect(next, before)
	}
	heads := *c
	heads.http = &asking
	err := c.retry(ctx, func() (bool, error) {
		request, err := c.request(ctx, http.MethodHead, path)
		if err != nil {
			return false, err
		}
		response, err := heads.do(request)
		if err != nil {
			return false, err
		}
		response.Body.Close()
		if response.StatusCode >= 400 {
			return false, c.refusal(response)
		}
		told := func(linked, plain string) string {
			if v := response.Header.Get(linked); v != "" {
				return v
			}
			return response.Header.Get(plain)
		}
		f.Hash = strings.ToLower(strings.Trim(strings.TrimPrefix(told("X-Linked-Etag", "ETag"), "W/"), `"`))
		size := told("X-Linked-Size", "Content-Length")
		if _, err := fmt.Sscanf(size, "%d", &f.Size); err != nil || f.Size < 0 || !fileHash.MatchString(f.Hash) {
			return false, fmt.Errorf("the hub tells no size and hash of %s (size %.20q, hash %.80q): it cannot be verified (%w)", f.Name, size, f.Hash, ErrCorrupt)
		}
		return false, nil
	})
	return f, err
}

// notExist tells that a file is absent, rather than that it cannot be read.
func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
