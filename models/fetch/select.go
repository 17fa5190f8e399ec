package fetch

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Files of a repository in the layout of sentence-transformers, as its version 5 writes it.
const (
	configFile    = "config.json"
	tokenizerFile = "tokenizer.json"
	modulesFile   = "modules.json"
)

// extractorFile says of a repository that it holds an extractor in the layout of GLiNER2, and where its graphs are.
const extractorFile = "gliner2_config.json"

// longestConfig bounds the bytes of extractorFile.
const longestConfig = 1 << 20

// extractorFiles are an extractor's but its graphs; the first three must be.
var extractorFiles = []string{configFile, tokenizerFile, extractorFile, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}

// topFiles are wanted where they are; the first two must be.
var topFiles = []string{
	configFile, tokenizerFile, modulesFile, "sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json", "special_tokens_map.json",
}

// moduleFile matches the files of modules behind the transformer: 1_Pooling/config.json, 2_Dense/model.safetensors.
var moduleFile = regexp.MustCompile(`^[0-9]{1,2}_[A-Za-z0-9_]+/(config\.json|model\.safetensors)$`)

// isGraphData tells whether a file holds tensors of a graph: model.onnx_data, as Optimum names it, model.onnx.data, as PyTorch does, or numbered ones.
func isGraphData(name, graph string) bool {
	return strings.HasPrefix(name, graph+"_data") || strings.HasPrefix(name, graph+".data")
}

// wanted picks the files of an encoder from all there are, in the order of their names.
func wanted(all []remoteFile, graph string) ([]remoteFile, error) {
	byName := map[string]remoteFile{}
	for _, f := range all {
		byName[f.Name] = f
	}
	if _, ok := byName[graph]; !ok {
		return nil, missingGraph(slices.Sorted(maps.Keys(byName)), graph)
	}
	for _, name := range topFiles[:2] {
		if _, ok := byName[name]; !ok {
			return nil, fmt.Errorf("there is no %s: only models of the transformers library with a fast tokenizer can be used (%w)", name, ErrIncomplete)
		}
	}
	var picked []remoteFile
	for _, f := range byName {
		if f.Name == graph || isGraphData(f.Name, graph) || slices.Contains(topFiles, f.Name) || moduleFile.MatchString(f.Name) {
			picked = append(picked, f)
		}
	}
	slices.SortFunc(picked, func(a, b remoteFile) int { return strings.Compare(a.Name, b.Name) })
	return picked, nil
}

// pick picks the files of an encoder, or of an extractor where there is one and no other graph is asked for; read reads a file that is neither damaged nor long.
func pick(all []remoteFile, o Options, read func(remoteFile) ([]byte, error)) (files []remoteFile, extractor bool, err error) {
	at := slices.IndexFunc(all, func(f remoteFile) bool { return f.Name == extractorFile })
	if at < 0 || o.Graph != DefaultGraph {
		files, err = wanted(all, o.Graph)
		return files, false, err
	}
	if all[at].Size > longestConfig {
		return nil, true, fmt.Errorf("%s has %d bytes, more than %d (%w)", extractorFile, all[at].Size, longestConfig, ErrTooLarge)
	}
	data, err := read(all[at])
	if err != nil {
		return nil, true, err
	}
	graphs, err := extractorGraphs(data, o.Precision)
	if err != nil {
		return nil, true, err
	}
	files, err = wantedExtractor(all, graphs)
	return files, true, err
}

// extractorGraphs reads the names of an extractor's graphs in one precision.
func extractorGraphs(config []byte, precision string) ([]string, error) {
	var c struct {
		Graphs map[string]map[string]string `json:"onnx_files"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("reading %s: %w (%w)", extractorFile, err, ErrCorrupt)
	}
	roles, ok := c.Graphs[precision]
	if !ok {
		return nil, fmt.Errorf("%s names no graphs in %s, but in %q: choose one of those with --precision (%w)", extractorFile, precision, slices.Sorted(maps.Keys(c.Graphs)), ErrIncomplete)
	}
	names := slices.Sorted(maps.Values(roles))
	for _, name := range names {
		if err := checkFileName(name); err != nil {
			return nil, fmt.Errorf("reading %s: %w", extractorFile, err)
		}
	}
	return slices.Compact(names), nil
}

// wantedExtractor picks the files of an extractor.
func wantedExtractor(all []remoteFile, graphs []string) ([]remoteFile, error) {
	for _, name := range append(extractorFiles[:3:3], graphs...) {
		if !slices.ContainsFunc(all, func(f remoteFile) bool { return f.Name == name }) {
			return nil, fmt.Errorf("there is no %s, which an extractor in the layout of GLiNER2 needs (%w)", name, ErrIncomplete)
		}
	}
	var picked []remoteFile
	for _, f := range all {
		if slices.Contains(extractorFiles, f.Name) || slices.ContainsFunc(graphs, func(g string) bool { return f.Name == g || isGraphData(f.Name, g) }) {
			picked = append(picked, f)
		}
	}
	slices.SortFunc(picked, func(a, b remoteFile) int { return strings.Compare(a.Name, b.Name) })
	return picked, nil
}

// missingGraph says which graphs there are, or how to make one.
func missingGraph(names []string, graph string) error {
	var graphs, weights []string
	for _, name := range names {
		switch path.Ext(name) {
		case ".onnx":
			graphs = append(graphs, name)
		case ".safetensors", ".bin", ".pt", ".h5":
			weights = append(weights, name)
		}
	}
	few := func(all []string) string {
		if len(all) > 20 {
			return fmt.Sprintf("%s and %d more", strings.Join(all[:20], ", "), len(all)-20)
		}
		return strings.Join(all, ", ")
	}
	if len(graphs) > 0 {
		return fmt.Errorf("there is no %s: name one of these with --graph: %s (%w)", graph, few(graphs), ErrIncomplete)
	}
	holds := "its files hold no weights either"
	if len(weights) > 0 {
		holds = "its weights are " + few(weights)
	}
	return fmt.Errorf("there is no ONNX graph, %s: take a model that has one, or export it with `optimum-cli export onnx --model NAME FOLDER` and pull ./FOLDER with --graph model.onnx; a checkpoint of GLiNER2 becomes an extractor with `jobstrom models export-gliner2 NAME` (%w)", holds, ErrIncomplete)
}

// wantedSize adds up sizes, which other people wrote, and bounds the sum.
func wantedSize(files []remoteFile, most int64) (int64, error) {
	var sum int64
	for _, f := range files {
		if f.Size > most-sum {
			return 0, fmt.Errorf("the files up to %s have more than %d bytes: allow more with --max-bytes (%w)", f.Name, most, ErrTooLarge)
		}
		sum += f.Size
	}
	return sum, nil
}
