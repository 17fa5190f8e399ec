// Command image builds the tree of the jobstrom image without Docker, from the instructions of deploy/Dockerfile: go run ./deploy/image FOLDER, in the root of
// the repository after make setup. As root its files have the owners of the image.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "use: go run ./deploy/image FOLDER")
		os.Exit(2)
	}
	layers, _, err := buildTree(".", os.Args[1], os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	var sum int64
	for _, l := range layers {
		fmt.Printf("%8.1f MB  %s\n", float64(l.Bytes)/1e6, l.Instruction)
		sum += l.Bytes
	}
	fmt.Printf("%8.1f MB  together, in %s\n", float64(sum)/1e6, os.Args[1])
}

// buildTree builds the repository's image into a folder that is absent or empty.
func buildTree(root, tree string, log io.Writer) (layers []layer, c config, err error) {
	if root, err = filepath.Abs(root); err != nil {
		return nil, c, err
	}
	if tree, err = filepath.Abs(tree); err != nil {
		return nil, c, err
	}
	text, err := os.ReadFile(filepath.Join(root, "deploy", "Dockerfile"))
	if err != nil {
		return nil, c, err
	}
	stages, err := parse(string(text))
	if err != nil {
		return nil, c, err
	}
	if c, err = configuration(stages[1]); err != nil {
		return nil, c, err
	}
	if there, err := os.ReadDir(tree); err == nil && len(there) > 0 {
		return nil, c, fmt.Errorf("building into %s: it holds something: name a folder that is absent or empty", tree)
	}
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return nil, c, err
	}
	made, err := os.MkdirTemp("", "jobstrom-image-")
	if err != nil {
		return nil, c, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(made)) }()
	layers, err = builder{root: root, made: made, tree: tree, log: log}.build(stages)
	return layers, c, err
}
