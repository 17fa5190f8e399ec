package fetch

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// IsFolder tells a folder of this machine from a model's name.
func IsFolder(source string) bool {
	return source == "." || source == ".." || strings.HasPrefix(source, "./") || strings.HasPrefix(source, "../") || filepath.IsAbs(source)
}

// pullFolder picks and hashes the files of a folder of this machine. Links are followed: the folder is its owner's, who may have a cache
// of another program's behind it.
func pullFolder(ctx context.Context, dir string, o Options) (Snapshot, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Snapshot{}, err
	}
	there, err := listFolder(dir, o.Graph)
	if err != nil {
		return Snapshot{}, err
	}
	files, extractor, err := pick(there, o, func(f remoteFile) ([]byte, error) {
		return os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.Name)))
	})
	if err != nil {
		return Snapshot{}, err
	}
	if _, err := wantedSize(files, o.MaxBytes); err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Dir: dir, Name: dir, Extractor: extractor}
	for i, f := range files {
		if files[i].Hash, err = verifyFile(ctx, filepath.Join(dir, filepath.FromSlash(f.Name)), f); err != nil {
			return Snapshot{}, err
		}
		s.Files = append(s.Files, File{Name: f.Name, SHA256: files[i].Hash, Size: f.Size})
	}
	s.Revision = digest(files)
	if o.dir(extractor) == "" {
		return s, nil
	}
	s.Dir = o.dir(extractor)
	for _, f := range files {
		if err := place(ctx, filepath.Join(dir, filepath.FromSlash(f.Name)), f, s.Dir, false); err != nil {
			return Snapshot{}, err
		}
	}
	return s, nil
}

// listFolder lists the files of a folder, of the folders in it and of the graph's.
func listFolder(dir, graph string) ([]remoteFile, error) {
	var files []remoteFile
	read := func(below string) (folders []string, err error) {
		entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(below)))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := path.Join(below, e.Name())
			info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
			switch {
			case err != nil: // a link to nowhere
			case info.IsDir():
				folders = append(folders, name)
			case info.Mode().IsRegular():
				files = append(files, remoteFile{Name: name, Size: info.Size()})
			}
			if len(files)+len(folders) > mostFiles {
				return nil, fmt.Errorf("%s has more than %d files: is it a model's folder? (%w)", dir, mostFiles, ErrTooLarge)
			}
		}
		return folders, nil
	}
	folders, err := read("")
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		if _, err := read(f); err != nil {
			return nil, err
		}
	}
	if in := path.Dir(graph); strings.Contains(in, "/") {
		if _, err := read(in); err != nil && !notExist(err) {
			return nil, err
		}
	}
	return files, nil
}
