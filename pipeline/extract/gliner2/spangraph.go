package gliner2

import "jobstrom/models/onnx"

// SpanGraph returns the graph that a Model runs in the place of a span_rep, for entities of up to width words, as bench/extract measures it alone. Its inputs are words [rows, words,
// hidden] and labels [rows, labels, hidden], its output is logits [rows, width, words, labels].
func SpanGraph(path string, width int) (*onnx.Graph, error) {
	layers, err := readSpanLayers(path)
	if err != nil {
		return nil, err
	}
	return layers.graph(width), nil
}
