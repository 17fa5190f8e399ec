// Package models says what a model on disk is and where the native parts lie.
//
// An encoder is a folder with a card (card.json), a graph and a tokenizer. The card holds everything
// the embedding stage must know: dimension, longest input, prefix, pooling and the SHA-256 of each
// file. The package is pure: it reads and checks files and imports no client of anything.
package models
