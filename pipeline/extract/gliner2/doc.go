// Package gliner2 finds entities in texts with a GLiNER2 model on this machine: spans of words, each with a label that is asked for in plain words.
//
// The model's folder holds an encoder and the heads behind it as ONNX graphs. The package follows one of two reference programs, see Mode: the same
// words, tokens, spans, scores and order. A text's answer is the same alone and in any batch, but for the last bits of its scores. A long
// text is read in chunks that overlap, and nothing of it is left out. The package knows nothing of Kafka, ClickHouse or HTTP.
package gliner2
