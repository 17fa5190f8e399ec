package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"
	"unsafe"

	"jobstrom/bench/figures"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

const (
	// historyRows is the real history's size.
	historyRows = 457_824
	// historyBudget is what it must train in, and littleBudget a tenth of its vectors.
	historyBudget = 4 << 30
	littleBudget  = historyRows * 1024 * 4 / 10
	// programBytes is what the program takes beside a history.
	programBytes = 300 << 20
)

// budgets trains on a history of the real size, within the budget and within a tenth of its vectors. What counts is the highest memory of the process, pages of files
// included.
func budgets(ctx context.Context, rows, dim int) error {
	dir, remove, err := exampleFolder(rows, dim)
	if err != nil {
		return err
	}
	defer remove()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	data := float64(4 * rows * dim)
	for _, b := range []struct {
		name   string
		memory int64
	}{{"peak memory of training on all of the history / 4 GiB", historyBudget}, {"the same within a tenth of its vectors / that and 300 MiB", littleBudget}} {
		var o outcome
		if err := child(ctx, &o, "", self, "-history", dir, "-dim", fmt.Sprint(dim), "-memory", fmt.Sprint(b.memory)); err != nil {
			return err
		}
		figures.Note("%d × %d (%.2f GB) within %.2f GB: %.1f s, %d iterations, highest memory %.2f GB", rows, dim, data/1e9, float64(b.memory)/1e9, o.Seconds, o.Iterations, o.Peak/1e9)
		allowed := float64(b.memory)
		if b.memory == littleBudget {
			allowed += programBytes
		}
		figures.AtMost(b.name, o.Peak/allowed, 1)
	}
	return nil
}

// trainHistory is the child that trains from a stream.
func trainHistory(ctx context.Context, dir string, dim int, memory int64) error {
	began := time.Now()
	debug.SetMemoryLimit(memory + programBytes) // as jobstrom train does
	taxonomy := schemas.Jobnet()
	r, err := trainer.Run(ctx, streamExamples(dir, dim), trainer.RunOptions{
		Encoder: "bench", Taxonomy: taxonomy, Settings: []trainer.Setting{{Method: trainer.MethodLBFGS, ClassWeights: trainer.WeightsNone, L2: 1e-5}}, Memory: memory, Dir: dir, Split: trainer.ByVacancy, Seed: 1,
	})
	if err != nil {
		return err
	}
	defer r.Close()
	o := outcome{Seconds: time.Since(began).Seconds(), Iterations: r.Trials[0].Steps}
	if o.Peak, err = peak(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}

// streamExamples reads what writeExamples wrote, a vacancy at a time.
func streamExamples(dir string, dim int) trainer.History {
	return func(yield func(trainer.Row, error) bool) {
		fail := func(err error) { yield(trainer.Row{}, err) }
		x, err := os.Open(filepath.Join(dir, "x.f32"))
		if err != nil {
			fail(err)
			return
		}
		defer x.Close()
		labels, err := os.ReadFile(filepath.Join(dir, "y.i32"))
		if err != nil {
			fail(err)
			return
		}
		from := bufio.NewReaderSize(x, 1<<20)
		for i := range len(labels) / 4 {
			row := trainer.Row{Vector: make([]float32, dim), Category: int(binary.LittleEndian.Uint32(labels[4*i:])), ID: fmt.Sprint(i)}
			if _, err := io.ReadFull(from, unsafe.Slice((*byte)(unsafe.Pointer(&row.Vector[0])), 4*dim)); err != nil {
				fail(err)
				return
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}
