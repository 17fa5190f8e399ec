package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path"
	"strings"
)

// pullAddress pulls the files that lie below an address, which tells neither what there is nor hashes: names that an encoder may have are
// tried, and what comes is trusted as far as https is. Files are downloaded anew each time.
func pullAddress(ctx context.Context, address string, o Options) (Snapshot, error) {
	c, err := newClient(address, false, o)
	if err != nil {
		return Snapshot{}, err
	}
	defer c.close()
	if c.base.Scheme != "https" && !isLoopback(c.base.Hostname()) {
		return Snapshot{}, fmt.Errorf("it must be https: nothing else vouches for the files")
	}
	p := pull{client: c, cache: cache(o.Cache), model: addressModel(c.base), name: strings.TrimSuffix(address, "/"), options: o}
	if o.Offline {
		return p.fromCache(ctx)
	}
	unlock, err := p.lock(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	defer unlock()
	files, extractor, err := p.tryAll(ctx)
	if errors.Is(err, ErrUnreachable) && ctx.Err() == nil {
		if s, inCache := p.fromCache(ctx); inCache == nil {
			o.Logger.WarnContext(ctx, "the server cannot be reached, the cache is used", slog.String("host", c.base.Host), slog.Any("error", err))
			return s, nil
		}
	}
	if err != nil {
		return Snapshot{}, err
	}
	l := listing{Commit: digest(files), Files: files}
	if err := p.cache.remember(p.model, o.Revision, l); err != nil {
		return Snapshot{}, err
	}
	sums := make([]string, len(files))
	for i, f := range files {
		sums[i] = f.Hash
	}
	return p.place(ctx, l.Commit, files, sums, extractor, false)
}

// tryAll brings those files into the cache that are below the address.
func (p pull) tryAll(ctx context.Context) (found []remoteFile, extractor bool, err error) {
	left, graph := p.options.MaxBytes, p.options.Graph
	try := func(required bool, names ...string) error {
		for _, name := range names {
			f, err := p.tryFile(ctx, name, left)
			switch {
			case err == nil:
				found = append(found, f)
				left -= f.Size
			case !required && (errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied)): // stores deny what is absent to who may not list
			case errors.Is(err, ErrNotFound):
				return fmt.Errorf("%s is not below it (%w)", name, ErrIncomplete)
			default:
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
	if err := try(true, topFiles[:2]...); err != nil { // small ones first: they tell whether the rest is worth the wait
		return nil, false, err
	}
	if graph == DefaultGraph {
		if err := try(false, extractorFile); err != nil {
			return nil, false, err
		}
	}
	if last := found[len(found)-1]; last.Name == extractorFile {
		config, err := os.ReadFile(p.cache.blob(last.Hash))
		if err != nil {
			return nil, true, err
		}
		graphs, err := extractorGraphs(config, p.options.Precision)
		if err != nil {
			return nil, true, err
		}
		err = try(false, extractorFiles[3:]...)
		for _, g := range graphs {
			if err == nil {
				err = try(true, g)
			}
			if err == nil {
				err = try(false, g+"_data", g+".data")
			}
		}
		if err != nil {
			return nil, true, err
		}
		files, err := wantedExtractor(found, graphs)
		return files, true, err
	}
	if err := try(false, topFiles[2:]...); err != nil {
		return nil, false, err
	}
	modules, err := p.modules(found)
	if err != nil {
		return nil, false, err
	}
	if err := try(false, modules...); err != nil {
		return nil, false, err
	}
	if err := try(true, graph); err != nil {
		return nil, false, fmt.Errorf("%w: --graph names another", err)
	}
	if err := try(false, graph+"_data", graph+".data"); err != nil {
		return nil, false, err
	}
	files, err := wanted(found, graph)
	return files, false, err
}

// addressModel is where the cache keeps what it knows of an address: its path is hashed, it may be long.
func addressModel(u *url.URL) model {
	sum := sha256.Sum256([]byte(strings.TrimSuffix(u.String(), "/")))
	return model{host: strings.ReplaceAll(u.Host, ":", "_"), name: "address--" + hex.EncodeToString(sum[:8])}
}

// tryFile brings one file into the cache.
func (p pull) tryFile(ctx context.Context, name string, most int64) (remoteFile, error) {
	key := sha256.Sum256([]byte(p.name + "/" + name))
	part := p.cache.blob("address--"+hex.EncodeToString(key[:])) + ".part"
	f := remoteFile{Name: name, Size: -1}
	sum, err := p.client.download(ctx, f, escapePath(name), part, most)
	if err != nil {
		os.Remove(part) // without a hash it could not be gone on with
		return f, err
	}
	info, err := os.Stat(part)
	if err != nil {
		return f, err
	}
	f.Size, f.Hash = info.Size(), sum
	return f, p.cache.keep(part, sum)
}

// modules returns the files that modules.json speaks of, where there is one.
func (p pull) modules(found []remoteFile) ([]string, error) {
	for _, f := range found {
		if f.Name != modulesFile {
			continue
		}
		data, err := os.ReadFile(p.cache.blob(f.Hash))
		if err != nil {
			return nil, err
		}
		var modules []struct {
			Path string `json:"path"`
		}
		if err := json.Unmarshal(data, &modules); err != nil || len(modules) > 20 {
			return nil, fmt.Errorf("%s is not a list of at most 20 modules", modulesFile)
		}
		var names []string
		for _, m := range modules {
			for _, file := range []string{configFile, "model.safetensors"} {
				if name := path.Join(m.Path, file); m.Path != "" && moduleFile.MatchString(name) {
					names = append(names, name)
				}
			}
		}
		return names, nil
	}
	return nil, nil
}

// digest stands for a commit where there is none.
func digest(files []remoteFile) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s\x00%s\n", f.Name, f.Hash)
	}
	return hex.EncodeToString(h.Sum(nil))
}
