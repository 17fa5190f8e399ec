package quantize

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// recipeVersion changes whenever the same source and options give another graph.
const recipeVersion = 1

// Result says what an encoder has become.
type Result struct {
	// Source is the card of the encoder that was quantised, Card the new one's.
	Source, Card models.EncoderCard
	// Products and Embeddings are how many products and tables were replaced.
	Products, Embeddings int
	// Left are the products with constant matrices that were left as they are, by the names of their nodes.
	Left []string
	// SourceBytes and Bytes are the sizes of both graphs with the files beside them.
	SourceBytes, Bytes int64
}

// Encoder quantises the encoder in the folder source into the folder target, which appears whole or not at all: an encoder that is there is replaced, nothing else is. Every byte of the source
// is verified. The same source and options give the same bytes, and what is not the same has another identity. Memory beyond the files that are mapped is bounded by the largest matrix and
// the scales. Errors name the file and the node, and wrap onnx.ErrMalformed, ErrQuantized or ErrNothing where the graph is to blame.
func Encoder(ctx context.Context, source, target string, o Options) (Result, error) {
	o.EnsureDefaults()
	err := o.Validate()
	var r Result
	if err == nil {
		r, err = encoder(ctx, source, target, o)
	}
	if err != nil {
		return Result{}, fmt.Errorf("quantising %s: %w", source, err)
	}
	return r, nil
}

func encoder(ctx context.Context, source, target string, o Options) (Result, error) {
	card, err := models.Verify(source)
	if err != nil {
		return Result{}, err
	}
	from, err := os.Stat(source)
	if err != nil {
		return Result{}, err
	}
	if to, err := os.Stat(target); err == nil && os.SameFile(from, to) {
		return Result{}, fmt.Errorf("the new encoder would replace the one that it is made of: name another folder than %s", target)
	}
	files := mapped{dir: source}
	defer files.unmap()
	r := Result{Source: card}
	graph, err := r.graph(ctx, &files, o)
	if err != nil {
		return Result{}, fmt.Errorf("reading %s: %w", card.Graph.Name, err)
	}
	_, err = models.WriteFolder(target, func(part string) (models.EncoderCard, error) {
		if err := r.write(ctx, part, source, graph, o); err != nil {
			return r.Card, err
		}
		if err := models.WriteEncoderCard(part, r.Card); err != nil {
			return r.Card, err
		}
		if err := o.Accept(part, r); err != nil {
			return r.Card, err
		}
		return r.Card, context.Cause(ctx)
	})
	return r, err
}

// graph reads the source's graph and rewrites it.
func (r *Result) graph(ctx context.Context, files *mapped, o Options) (*onnx.Graph, error) {
	data, err := files.read(r.Source.Graph.Name)
	if err != nil {
		return nil, err
	}
	source, err := onnx.ReadSource(data, func(location string) ([]byte, error) {
		name := path.Join(path.Dir(r.Source.Graph.Name), location)
		if !slices.ContainsFunc(r.Source.External, func(f models.File) bool { return f.Name == name }) {
			return nil, fmt.Errorf("it lies in %.80q, which is none of the files that the card names as external", location)
		}
		return files.read(name)
	})
	if err != nil {
		return nil, err
	}
	graph, c, err := rewrite(ctx, source, o)
	r.Products, r.Embeddings, r.Left = c.products, c.embeddings, c.left
	for _, file := range files.files {
		r.SourceBytes += int64(len(file))
	}
	return graph, err
}

// write writes all files of the new encoder but the card, and makes that.
func (r *Result) write(ctx context.Context, part, source string, graph *onnx.Graph, o Options) (err error) {
	c := r.Source
	size := graph.Size()
	put := func(name string, write func(io.Writer) error) (models.File, error) {
		return models.WriteFile(part, name, func(w io.Writer) error {
			return write(&watched{ctx: ctx, w: w, done: &r.Bytes, of: size, tell: o.Progress})
		})
	}
	limit := int64(onnx.MaxModel)
	if o.maxModel > 0 {
		limit = o.maxModel
	}
	c.External = nil
	if size <= limit {
		c.Graph, err = put(c.Graph.Name, graph.Encode)
	} else {
		name := c.Graph.Name + ".data"
		var beside models.File
		c.Graph, err = put(c.Graph.Name, func(w io.Writer) (err error) {
			beside, err = put(name, func(data io.Writer) error { return graph.EncodeBeside(w, data, path.Base(name)) })
			return err
		})
		c.External = []models.File{beside}
	}
	if err != nil {
		return err
	}
	for _, f := range append([]models.File{c.Tokenizer}, denseFiles(c)...) {
		copied, err := models.WriteFile(part, f.Name, func(w io.Writer) error { return copyFile(w, filepath.Join(source, filepath.FromSlash(f.Name))) })
		if err != nil {
			return err
		}
		if copied != f {
			return fmt.Errorf("copying %s: it changed meanwhile", f.Name)
		}
	}
	c.Name += "-" + string(o.Kind)
	c.Recipe = models.Recipe{Name: producer, Version: recipeVersion, Graph: fmt.Sprintf("%s; of %s %d %s", o, c.Recipe.Name, c.Recipe.Version, c.Recipe.Graph)}
	c.Notes = append(slices.Clone(c.Notes), fmt.Sprintf("quantised from encoder %.12s (%s): %d products and %d tables of embeddings, %d products left as they are", r.Source.ID, o, r.Products, r.Embeddings, len(r.Left)))
	r.Card = c.Identified()
	return nil
}

func denseFiles(c models.EncoderCard) (files []models.File) {
	for _, d := range c.Dense {
		files = append(files, d.File)
	}
	return files
}

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// watched counts what is written and ends with ctx.
type watched struct {
	ctx  context.Context
	w    io.Writer
	done *int64
	of   int64
	tell func(phase string, done, of int)
}

func (w *watched) Write(b []byte) (int, error) {
	if err := context.Cause(w.ctx); err != nil {
		return 0, err
	}
	n, err := w.w.Write(b)
	*w.done += int64(n)
	w.tell("writing the graph", int(*w.done), int(w.of))
	return n, err
}

// mapped are files of a folder that are mapped into memory, by their names on the card.
type mapped struct {
	dir   string
	files map[string][]byte
}

func (m *mapped) read(name string) ([]byte, error) {
	if data, ok := m.files[name]; ok {
		return data, nil
	}
	f, err := os.Open(filepath.Join(m.dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var data []byte
	if info.Size() > 0 { // nothing cannot be mapped
		if data, err = unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED); err != nil {
			return nil, fmt.Errorf("mapping %s into memory: %w", name, err)
		}
	}
	if m.files == nil {
		m.files = map[string][]byte{}
	}
	m.files[name] = data
	return data, nil
}

// unmap gives the memory back; what was read must not be used any more.
func (m *mapped) unmap() error {
	var errs []error
	for _, data := range m.files {
		if data != nil {
			errs = append(errs, unix.Munmap(data))
		}
	}
	return errors.Join(errs...)
}
