package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Folders of the Dockerfile's build stage that lie elsewhere on this machine.
const (
	sources = "/src"   // the repository
	made    = "/image" // what the stage puts together
)

// layer is what one COPY of the last stage adds.
type layer struct {
	Instruction string
	Bytes       int64
}

// builder carries out a Dockerfile on this machine.
type builder struct {
	root string // the repository, which stands for /src
	made string // a folder that stands for /image
	tree string // what the image holds
	log  io.Writer
}

// build makes the tree of the image, and says what its layers weigh. Commands of the build stage run in the repository as it is, so that what set-up fetched
// and what Go compiled before is there; those before WORKDIR install tools on the build image, which must be on this machine.
func (b builder) build(stages []stage) ([]layer, error) {
	if err := b.compile(stages[0]); err != nil {
		return nil, err
	}
	return b.assemble(stages[0].name, stages[1])
}

// compile carries out the build stage.
func (b builder) compile(s stage) error {
	entered, arguments := false, os.Environ()
	for _, i := range s.instructions {
		switch i.name {
		case "WORKDIR":
			if i.rest != sources {
				return fmt.Errorf("building: line %d works in %s, which this machine has no place for: use %s", i.line, i.rest, sources)
			}
			entered = true
		case "ARG":
			name, value, _ := strings.Cut(i.rest, "=")
			if os.Getenv(name) == "" {
				arguments = append(arguments, name+"="+value)
			}
		case "COPY": // the repository is there
			fields := strings.Fields(i.rest)
			for _, source := range fields[:len(fields)-1] {
				if err := b.inContext(source); err != nil {
					return fmt.Errorf("building: line %d: %w", i.line, err)
				}
			}
		case "RUN":
			if !entered {
				fmt.Fprintf(b.log, "left out, must be here already: %s\n", i)
				continue
			}
			if err := b.run(i, arguments); err != nil {
				return err
			}
		default:
			return fmt.Errorf("building: line %d: %s has no meaning here in the stage that builds", i.line, i.name)
		}
	}
	return nil
}

// inContext says whether Docker would find a path of the repository: .dockerignore lists folders and files at its top.
func (b builder) inContext(path string) error {
	if _, err := os.Stat(filepath.Join(b.root, path)); err != nil {
		return fmt.Errorf("copying %s: %w", path, err)
	}
	ignored, err := os.ReadFile(filepath.Join(b.root, ".dockerignore"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(ignored)) {
		if name := strings.Trim(strings.TrimSpace(line), "/"); name != "" && (filepath.Clean(path) == name || strings.HasPrefix(filepath.Clean(path), name+"/")) {
			return fmt.Errorf("copying %s: .dockerignore leaves out %s", path, name)
		}
	}
	return nil
}

// place matches the folders of the build stage where they begin a path.
var place = regexp.MustCompile(`(^|[\s=L"'])(` + sources + `|` + made + `)\b`)

// here returns a command or a path of the build stage with this machine's folders.
func (b builder) here(text string) string {
	return place.ReplaceAllStringFunc(text, func(match string) string {
		for name, dir := range map[string]string{sources: b.root, made: b.made} {
			if before, ok := strings.CutSuffix(match, name); ok {
				return before + dir
			}
		}
		return match
	})
}

func (b builder) run(i instruction, environment []string) error {
	cmd := exec.Command("sh", "-ec", b.here(i.rest))
	var out bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.root, environment, &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running line %d of the Dockerfile: %s: %w\n%s", i.line, i, err, &out)
	}
	return nil
}

// assemble carries out the last stage: folders are copied with what they hold, like COPY does, and belong to root unless --chown says otherwise.
func (b builder) assemble(built string, s stage) ([]layer, error) {
	var layers []layer
	for _, i := range s.instructions {
		switch i.name {
		case "COPY":
			if i.flags["from"] != built {
				return nil, fmt.Errorf("copying: line %d takes from %q: the last stage takes from %s alone", i.line, i.flags["from"], built)
			}
			fields := strings.Fields(i.rest)
			if len(fields) != 2 {
				return nil, fmt.Errorf("copying: line %d names %d paths, want one and where it goes", i.line, len(fields))
			}
			owner, err := parseOwner(i.flags["chown"])
			if err != nil {
				return nil, fmt.Errorf("copying: line %d: %w", i.line, err)
			}
			n, err := copyTree(b.here(fields[0]), filepath.Join(b.tree, fields[1]), owner)
			if err != nil {
				return nil, fmt.Errorf("copying: line %d: %w", i.line, err)
			}
			layers = append(layers, layer{i.String(), n})
		case "RUN":
			return nil, fmt.Errorf("copying: line %d runs something, and scratch has nothing to run", i.line)
		}
	}
	return layers, nil
}

// parseOwner reads USER:GROUP in numbers; none is root.
func parseOwner(text string) (owner [2]int, err error) {
	if text == "" {
		return owner, nil
	}
	user, group, _ := strings.Cut(text, ":")
	for i, part := range []string{user, group} {
		if owner[i], err = strconv.Atoi(part); err != nil {
			return owner, fmt.Errorf("%q is no owner in numbers, like 65532:65532: scratch has no names", text)
		}
	}
	return owner, nil
}

// copyTree copies a file, or what a folder holds, and returns the bytes of the files. Only root can give files away.
func copyTree(from, to string, owner [2]int) (bytes int64, err error) {
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rest)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(target); err == nil && rest == "." {
				return nil // a folder that is there keeps what it is
			}
			if err := os.MkdirAll(target, 0o755); err != nil {
				return err
			}
		} else {
			if !info.Mode().IsRegular() {
				return fmt.Errorf("%s is neither file nor folder", path)
			}
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			if err := copyFile(path, target); err != nil {
				return err
			}
			bytes += info.Size()
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(target, owner[0], owner[1]); err != nil {
				return err
			}
		}
		return os.Chmod(target, info.Mode()) // after the owner, whose change takes bits away
	})
	return bytes, err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
