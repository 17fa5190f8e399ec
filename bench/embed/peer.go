package main

import (
	"context"
	"fmt"
	"path/filepath"

	"jobstrom/bench/peer"
	"jobstrom/models"
)

// startPeer starts a script of this folder. A folder of packages, unless it is empty, stands before those of its environment.
func startPeer(ctx context.Context, packages, script string, args ...string) (*peer.Peer, error) {
	native, err := models.NativeDir()
	if err != nil {
		return nil, err
	}
	o := peer.Options{Environment: filepath.Join(native, "bench-embed"), Script: filepath.Join("bench", "embed", script), Args: args, Target: "bench-embed"}
	if packages != "" {
		o.Packages = filepath.Join(o.Environment, packages)
	}
	return peer.Start(ctx, o)
}

// peerVectors is what a peer says of itself, and its vectors of the first texts.
type peerVectors struct {
	Versions string      `json:"versions"`
	Vectors  [][]float32 `json:"vectors"`
}

// check returns the least cosine of a peer's vectors to ours, and an error when they are not the same encoder's.
func (e peerVectors) check(ours [][]float32, least float64) (float64, error) {
	if len(e.Vectors) == 0 || len(e.Vectors) > len(ours) {
		return 0, fmt.Errorf("comparing vectors: the peer has %d, ours are %d", len(e.Vectors), len(ours))
	}
	lowest := 1.0
	for i, v := range e.Vectors {
		if len(v) != len(ours[i]) {
			return 0, fmt.Errorf("comparing vectors: the peer's have %d components, ours %d", len(v), len(ours[i]))
		}
		lowest = min(lowest, cosine(v, ours[i]))
	}
	if !(lowest >= least) { // NaN is no match either
		return lowest, fmt.Errorf("comparing vectors: the least cosine is %g, it must be %g: not the same encoder", lowest, least)
	}
	return lowest, nil
}
