// Package security is what every connection to other people's servers shares: secrets that never show, TLS, and words for a handshake that failed.
//
// It promises that a Secret printed, logged or encoded in any way shows nothing of itself, and that files of secrets, certificates and keys are read
// anew at each use, so that they can be rotated under a running process.
package security
