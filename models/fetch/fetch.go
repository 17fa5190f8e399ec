package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Snapshot is a folder with a model's files as they were at one commit.
type Snapshot struct {
	// Dir is the folder.
	Dir string
	// Name is the model's name on the hub, or the address or the folder that its files come from.
	Name string
	// Revision is the hub's commit: 40 hex digits. Files from elsewhere have 64: the hash of their names and hashes.
	Revision string
	// Extractor says that it is an extractor in the layout of GLiNER2, else it is an encoder.
	Extractor bool
	// Cached says that nobody was asked whether the revision is still this commit.
	Cached bool
	// Files are the files, ordered by name.
	Files []File
}

// File is a file of a snapshot.
type File struct {
	// Name is its path in the folder, with slashes.
	Name string
	// SHA256 is hex.
	SHA256 string
	Size   int64
}

// Pull returns a folder with an encoder's files: configuration, tokenizer, modules and one graph with its data; or with an extractor's, where
// the model has a gliner2_config.json: configuration, tokenizer and the graphs in one precision with their data. source is
//
//   - a model on the hub, as intfloat/multilingual-e5-small;
//   - an https address that the files lie below, as https://models.example.com/e5;
//   - a folder, which begins with ./, ../ or /. Its files are hashed and, without Options.Dir, used where they are.
//
// Every file from the hub is verified against the hub's hash, also those that the cache has already. A pull that was cut off goes on where
// it ended. When the hub cannot be reached, the revision is taken from the cache if it is there: Snapshot.Cached and the log say so.
// Several pulls may run at once, in several processes; one after the other writes. Errors are those of errors.go, the file system's and ctx's.
func Pull(ctx context.Context, source string, o Options) (Snapshot, error) {
	o.EnsureDefaults()
	err := o.Validate()
	if err == nil {
		err = absolute(&o.Cache, &o.Dir, &o.ExtractorDir)
	}
	var s Snapshot
	switch {
	case err != nil:
	case strings.Contains(source, "://"):
		s, err = pullAddress(ctx, source, o)
	case IsFolder(source):
		s, err = pullFolder(ctx, source, o)
	default:
		s, err = pullModel(ctx, source, o)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("pulling %.200s: %w", shown(source), err)
	}
	return s, nil
}

// shown is a source without what an address may hide: a password, or a signature in its query.
func shown(source string) string {
	if !strings.Contains(source, "://") {
		return source
	}
	u, err := url.Parse(source)
	if err != nil {
		return "an address"
	}
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}

// absolute makes names of folders hold wherever they are used; an empty one stays empty.
func absolute(folders ...*string) (err error) {
	for _, f := range folders {
		if *f != "" && err == nil {
			*f, err = filepath.Abs(*f)
		}
	}
	return err
}

// pullModel pulls a model of the hub.
func pullModel(ctx context.Context, name string, o Options) (Snapshot, error) {
	if err := checkModelName(name); err != nil {
		return Snapshot{}, err
	}
	c, err := newClient(o.Endpoint, true, o)
	if err != nil {
		return Snapshot{}, err
	}
	defer c.close()
	m := model{host: strings.ReplaceAll(c.base.Host, ":", "_"), name: strings.ReplaceAll(name, "/", "--")}
	p := pull{client: c, cache: cache(o.Cache), model: m, name: name, options: o}
	if o.Offline {
		return p.fromCache(ctx)
	}
	unlock, err := p.lock(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	defer unlock()
	known, err := p.cache.recall(m, o.Revision)
	cached := err == nil
	if !cached || !commitID.MatchString(o.Revision) { // what a commit holds never changes
		asked, err := p.ask(ctx)
		switch {
		case err == nil:
			known, cached = asked, false
		case cached && errors.Is(err, ErrUnreachable) && ctx.Err() == nil:
			o.Logger.WarnContext(ctx, "the hub cannot be reached, the cache is used", slog.String("model", name), slog.String("commit", known.Commit), slog.Any("error", err))
		default:
			return Snapshot{}, err
		}
	}
	return p.download(ctx, known, cached)
}

// pull is one pull of a model or an address.
type pull struct {
	client  *client
	cache   cache
	model   model
	name    string
	options Options
}

func (p pull) lock(ctx context.Context) (unlock func(), err error) {
	return p.cache.lock(ctx, func() {
		p.options.Logger.InfoContext(ctx, "waiting for another pull", slog.String("cache", string(p.cache)))
	})
}

// ask asks the hub which files there are.
func (p pull) ask(ctx context.Context) (listing, error) {
	data, err := p.client.get(ctx, "api/models/"+p.name+"/revision/"+url.PathEscape(p.options.Revision)+"?blobs=true", longestListing)
	if err != nil {
		return listing{}, err
	}
	return parseHub(data)
}

// path is where the hub has a file.
func (p pull) path(commit, file string) string {
	return p.name + "/resolve/" + commit + "/" + escapePath(file)
}

func escapePath(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// download brings the wanted files of a listing into the cache and places them.
func (p pull) download(ctx context.Context, l listing, cached bool) (Snapshot, error) {
	files, extractor, err := pick(l.Files, p.options, func(f remoteFile) ([]byte, error) {
		files := []remoteFile{f}
		if _, err := p.bring(ctx, l, files); err != nil {
			return nil, err
		}
		return os.ReadFile(p.cache.blob(files[0].Hash))
	})
	if err != nil {
		return Snapshot{}, err
	}
	sums, err := p.bring(ctx, l, files)
	if err != nil {
		return Snapshot{}, err
	}
	if !cached { // not before its files are here: an older commit that is whole serves better when the hub is away
		if err := p.cache.remember(p.model, p.options.Revision, l); err != nil {
			return Snapshot{}, err
		}
	}
	return p.place(ctx, l.Commit, files, sums, extractor, cached)
}

// bring brings files of a listing into the cache and returns their SHA-256. Where the listing tells no hash, it and the files get the one that is asked for.
func (p pull) bring(ctx context.Context, l listing, files []remoteFile) (sums []string, err error) {
	for i, f := range files {
		if f.Hash != "" {
			continue
		}
		if files[i], err = p.client.describe(ctx, f, p.path(l.Commit, f.Name)); err != nil {
			return nil, err
		}
		for j := range l.Files {
			if l.Files[j].Name == f.Name {
				l.Files[j] = files[i]
			}
		}
	}
	if _, err := wantedSize(files, p.options.MaxBytes); err != nil {
		return nil, err
	}
	sums = make([]string, len(files))
	var missing int64
	for i, f := range files {
		if sums[i], err = verifyFile(ctx, p.cache.blob(f.Hash), f); err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, ErrCorrupt) {
			p.options.Logger.WarnContext(ctx, "a file of the cache is damaged and is downloaded again", slog.Any("error", err))
		} else if !notExist(err) {
			return nil, err
		}
		sums[i] = ""
		missing += f.Size
		if part, err := os.Stat(p.cache.blob(f.Hash) + ".part"); err == nil {
			missing -= min(part.Size(), f.Size)
		}
	}
	if missing > 0 {
		if room, err := p.cache.room(); err != nil {
			return nil, err
		} else if missing > room {
			return nil, fmt.Errorf("%d bytes are to be downloaded, %s has room for %d (%w)", missing, p.cache, room, ErrTooLarge)
		}
	}
	for i, f := range files {
		if sums[i] != "" {
			continue
		}
		part := p.cache.blob(f.Hash) + ".part"
		if sums[i], err = p.client.download(ctx, f, p.path(l.Commit, f.Name), part, f.Size); err != nil {
			return nil, err
		}
		if err := p.cache.keep(part, f.Hash); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// fromCache gives a snapshot without asking anybody.
func (p pull) fromCache(ctx context.Context) (Snapshot, error) {
	l, err := p.cache.recall(p.model, p.options.Revision)
	if notExist(err) {
		return Snapshot{}, fmt.Errorf("revision %s of it is %w %s, which is all that --offline uses", p.options.Revision, ErrNotCached, p.cache)
	}
	if err != nil {
		return Snapshot{}, err
	}
	verify := func(f remoteFile) (sum string, err error) {
		if f.Hash == "" {
			return "", fmt.Errorf("%s is %w %s: pull it without --offline", f.Name, ErrNotCached, p.cache)
		}
		if sum, err = verifyFile(ctx, p.cache.blob(f.Hash), f); err != nil {
			if notExist(err) {
				err = ErrNotCached
			}
			return "", fmt.Errorf("%s of %s: %w: pull it without --offline", f.Name, p.cache, err)
		}
		return sum, nil
	}
	files, extractor, err := pick(l.Files, p.options, func(f remoteFile) ([]byte, error) {
		if _, err := verify(f); err != nil {
			return nil, err
		}
		return os.ReadFile(p.cache.blob(f.Hash))
	})
	if err != nil {
		return Snapshot{}, err
	}
	sums := make([]string, len(files))
	for i, f := range files {
		if sums[i], err = verify(f); err != nil {
			return Snapshot{}, err
		}
	}
	return p.place(ctx, l.Commit, files, sums, extractor, true)
}

// place puts files of the cache into the snapshot's folder, or into Options.Dir.
func (p pull) place(ctx context.Context, commit string, files []remoteFile, sums []string, extractor, cached bool) (Snapshot, error) {
	s := Snapshot{Dir: p.options.dir(extractor), Name: p.name, Revision: commit, Extractor: extractor, Cached: cached}
	if s.Dir == "" {
		s.Dir = p.cache.snapshot(p.model, commit)
	}
	for i, f := range files {
		if err := place(ctx, p.cache.blob(f.Hash), f, s.Dir, true); err != nil {
			return Snapshot{}, err
		}
		s.Files = append(s.Files, File{Name: f.Name, SHA256: sums[i], Size: f.Size})
	}
	return s, nil
}
