// Package onnx writes and reads ONNX models and has ONNX Runtime run them.
//
// The runtime is a shared library, of which a process has one; everything that runs models opens it here.
package onnx
