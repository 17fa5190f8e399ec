// Package quantize makes smaller and faster encoders of encoders in floating point.
//
// It rewrites an encoder's ONNX graph: every product with a constant matrix is computed in 8-bit integers, or by weights in blocks of 8 or 4 bits.
// All else stays as it stands, attention's own products too. A text keeps one vector, alone and in any batch. The package is pure: what the
// encoders say of real texts is measured by those who run them.
package quantize
