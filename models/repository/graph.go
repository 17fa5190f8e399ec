package repository

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// graph is what the ONNX file takes and gives.
type graph struct {
	file       models.File
	external   []models.File
	tokenTypes bool
	positions  bool
	output     string
	pools      bool
	dim        int // 0 where the graph does not say it
}

// Outputs in the order in which they are looked for: those of tokens first, because the repository says what becomes of them.
var outputs = []struct {
	name  string
	pools bool
}{{"last_hidden_state", false}, {"token_embeddings", false}, {"sentence_embedding", true}}

// findGraph returns the name of the ONNX file.
func findGraph(f folder, o Options) (string, error) {
	if o.Graph != "" {
		if !f.exists(o.Graph) {
			return "", fmt.Errorf("looking for the graph: %s is missing", o.Graph)
		}
		return o.Graph, nil
	}
	var all []string
	for _, dir := range []string{"onnx", "."} {
		entries, err := os.ReadDir(f.path(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("looking for the graph: %w", err)
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			if !strings.HasSuffix(name, ".onnx") || !f.exists(name) {
				continue
			}
			if e.Name() == "model.onnx" {
				return name, nil
			}
			all = append(all, name)
		}
	}
	switch len(all) {
	case 0:
		return "", errors.New("looking for the graph: there is no .onnx file in onnx/ or at the top; export it with sentence-transformers (SentenceTransformer(NAME, backend=\"onnx\").save_pretrained(FOLDER)) or optimum")
	case 1:
		return all[0], nil
	}
	return "", fmt.Errorf("looking for the graph: there are %.300q and no model.onnx; choose one", all)
}

// readGraph reads and hashes the ONNX file and the files that it names.
func readGraph(f folder, name string) (graph, error) {
	var g graph
	fail := func(format string, args ...any) (graph, error) {
		return graph{}, fmt.Errorf("reading %s: "+format, append([]any{name}, args...)...)
	}
	s, err := onnx.ReadSignature(f.path(name))
	if err != nil {
		return graph{}, fmt.Errorf("%w; fetch it again or export it again", err)
	}
	taken := map[string]bool{}
	for _, in := range s.Inputs {
		if in.Type != onnx.Int64 {
			return fail("input %.80q has the element type %d, must be int64; export the encoder again", in.Name, in.Type)
		}
		if !slices.Contains([]string{"input_ids", "attention_mask", "token_type_ids", "position_ids"}, in.Name) {
			return fail("it takes %.80q; input_ids, attention_mask, token_type_ids and position_ids are understood, export the encoder for the task feature-extraction", in.Name)
		}
		if len(in.Dims) != 2 || in.Dims[0] >= 0 || in.Dims[1] >= 0 {
			return fail("input %.80q has the dimensions %.60s, rows and tokens must be free; export the encoder with dynamic axes", in.Name, fmt.Sprint(in.Dims))
		}
		taken[in.Name] = true
	}
	if !taken["input_ids"] || !taken["attention_mask"] {
		return fail("it must take input_ids and attention_mask; export the encoder for the task feature-extraction")
	}
	g.tokenTypes, g.positions = taken["token_type_ids"], taken["position_ids"]
	var names []string
	for _, out := range s.Outputs {
		names = append(names, out.Name)
	}
	for _, o := range outputs {
		at := slices.Index(names, o.name)
		if at < 0 {
			continue
		}
		v := s.Outputs[at]
		if v.Type != onnx.Float {
			return fail("output %s has the element type %d, must be float; export the encoder in fp32, or with fp32 outputs", v.Name, v.Type)
		}
		want := 3
		if o.pools {
			want = 2
		}
		if v.Dims != nil && len(v.Dims) != want {
			return fail("output %s has %d dimensions, must have %d", v.Name, len(v.Dims), want)
		}
		if g.output, g.pools = v.Name, o.pools; v.Dims != nil && v.Dims[want-1] > 0 {
			g.dim = int(min(v.Dims[want-1], 1<<30))
		}
		break
	}
	if g.output == "" {
		return fail("it gives %.200q, and none of last_hidden_state, token_embeddings and sentence_embedding; export the encoder for the task feature-extraction", names)
	}
	if g.external, err = readExternal(f, name, s.External); err != nil {
		return graph{}, err
	}
	sum, err := models.HashFile(f.path(name))
	g.file = models.File{Name: name, SHA256: sum}
	return g, err
}

// readExternal hashes the files beside a graph that hold its constants.
func readExternal(f folder, name string, locations []string) (files []models.File, err error) {
	fail := func(format string, args ...any) ([]models.File, error) {
		return nil, fmt.Errorf("reading %s: "+format, append([]any{name}, args...)...)
	}
	for _, location := range locations {
		external := path.Join(path.Dir(name), location)
		if !fs.ValidPath(location) || location == "." || strings.Contains(location, `\`) {
			return fail("its constants lie in %.80q, which is outside its folder: not read", location)
		}
		if !f.exists(external) {
			return fail("its constants lie in %.80q, which is missing; fetch the whole repository", external)
		}
		sum, err := models.HashFile(f.path(external))
		if err != nil {
			return nil, err
		}
		files = append(files, models.File{Name: external, SHA256: sum})
	}
	return files, nil
}
