// Package repository derives a card from the files of a model repository: an encoder's in the layout of sentence-transformers and Hugging Face, an extractor's in that
// of GLiNER2's exports.
//
// It reads what the repository says of itself: modules.json and the folders that it names, config.json, the tokenizer's files and the inputs and outputs
// of the ONNX graph. The files may come from anyone: sizes are bounded, what is not understood is refused by its name, and nothing is fetched or written.
package repository
