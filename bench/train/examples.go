package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"unsafe"

	"jobstrom/bench/imbalance"
	"jobstrom/trainer"
)

// counts are the categories' sizes in a real history.
var counts = imbalance.Counts

// exampleFolder returns a new folder with examples, and what removes it.
func exampleFolder(rows, dim int) (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp("", "bench-train-*"); err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	if err := writeExamples(dir, rows, dim); err != nil {
		remove()
		return "", nil, err
	}
	return dir, remove, nil
}

// writeExamples writes vectors that resemble embeddings: of length 1, around a mean that they share, spread widely in few
// directions and little in most. A linear classifier gets about three quarters of them right.
func writeExamples(dir string, rows, dim int) error {
	random := rand.New(rand.NewPCG(1, 1))
	spread, mean := make([]float64, dim), make([]float64, dim)
	var spreads, means float64
	for j := range dim {
		spread[j], mean[j] = 1/math.Sqrt(float64(1+j)), random.NormFloat64()
		spreads, means = spreads+spread[j]*spread[j], means+mean[j]*mean[j]
	}
	centres := make([][]float64, len(counts))
	shares, total := make([]float64, len(counts)), 0.0
	for k, n := range counts {
		centres[k] = make([]float64, dim)
		var length float64
		for j := range dim {
			centres[k][j] = random.NormFloat64() * spread[j] * spread[j]
			length += centres[k][j] * centres[k][j]
		}
		for j := range dim {
			centres[k][j] = .22*centres[k][j]/math.Sqrt(length) + .85*mean[j]/math.Sqrt(means)
		}
		total += n
		shares[k] = total
	}
	pick := func() int {
		k, u := 0, random.Float64()*total
		for shares[k] <= u {
			k++
		}
		return k
	}
	x, err := os.Create(filepath.Join(dir, "x.f32"))
	if err != nil {
		return err
	}
	defer x.Close()
	y, err := os.Create(filepath.Join(dir, "y.i32"))
	if err != nil {
		return err
	}
	defer y.Close()
	to, row := bufio.NewWriterSize(x, 1<<20), make([]float32, dim)
	for i := range rows {
		k := pick()
		label := k
		switch {
		case i < len(counts):
			k, label = i, i // Every category has an example.
		case random.Float64() < .08:
			label = pick() // People err.
		}
		var length float64
		for j := range row {
			v := centres[k][j] + .45*spread[j]/math.Sqrt(spreads)*random.NormFloat64()
			row[j] = float32(v)
			length += v * v
		}
		for j := range row {
			row[j] /= float32(math.Sqrt(length))
		}
		if err := binary.Write(to, binary.LittleEndian, row); err != nil {
			return err
		}
		if err := binary.Write(y, binary.LittleEndian, int32(label)); err != nil {
			return err
		}
	}
	return to.Flush()
}

// readExamples reads the vectors into one piece of memory.
func readExamples(dir string, dim int) (trainer.Examples, error) {
	labels, err := os.ReadFile(filepath.Join(dir, "y.i32"))
	if err != nil {
		return trainer.Examples{}, err
	}
	file, err := os.Open(filepath.Join(dir, "x.f32"))
	if err != nil {
		return trainer.Examples{}, err
	}
	defer file.Close()
	n := len(labels) / 4
	x := make([]float32, n*dim)
	if _, err := io.ReadFull(file, unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))); err != nil {
		return trainer.Examples{}, fmt.Errorf("reading the examples: %w", err)
	}
	e := trainer.Examples{Vectors: make([][]float32, 0, n), Categories: make([]int, 0, n)}
	for i := range n {
		e.Vectors, e.Categories = append(e.Vectors, x[i*dim:(i+1)*dim]), append(e.Categories, int(binary.LittleEndian.Uint32(labels[4*i:])))
	}
	return e, nil
}
