package trainer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What comes back is what was added, from memory and from the file, which is gone from its folder at once.
func TestVectors(t *testing.T) {
	f := func(n, width int, limit int64, inFile bool) {
		t.Helper()
		dir := t.TempDir()
		v := &vectors{limit: limit, dir: dir}
		random := rand.New(rand.NewPCG(1, uint64(n)))
		var want [][]float32
		for range n {
			x := make([]float32, width)
			for j := range x {
				x[j] = random.Float32()
			}
			want = append(want, slices.Clone(x))
			if err := v.add(x); err != nil {
				t.Fatal(err)
			}
		}
		got, err := v.all()
		if err != nil {
			t.Fatal(err)
		}
		if (v.file != nil) != inFile {
			t.Errorf("%d × %d within %d bytes: in a file: %v", n, width, limit, v.file != nil)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%v lies in the folder", left)
		}
		for i := range want {
			if !slices.Equal(got[i], want[i]) {
				t.Fatalf("vector %d is %v, want %v", i, got[i], want[i])
			}
		}
		if len(got) != n {
			t.Errorf("%d vectors, want %d", len(got), n)
		}
		if err := v.close(); err != nil {
			t.Error(err)
		}
	}
	f(0, 3, 100, false)
	f(10, 3, 120, false)
	f(10, 3, 119, true)
	f(1, 3, 0, true)
	f(5000, 17, 1000, true)
}

func TestVectorsFailure(t *testing.T) {
	f := func(v *vectors, want string, vectors ...[]float32) {
		t.Helper()
		var err error
		for _, x := range vectors {
			if err = v.add(x); err != nil {
				break
			}
		}
		if err == nil {
			_, err = v.all()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if err := v.close(); err != nil {
			t.Error(err)
		}
	}
	f(&vectors{limit: 1 << 20}, "has 2 components, that of the first has 1", []float32{1}, []float32{1, 2})
	f(&vectors{limit: 1 << 20}, "has 0 components", []float32{})
	f(&vectors{dir: filepath.Join(t.TempDir(), "absent")}, "keeping vectors in a file", []float32{1})
	// A full disk: every write of this device fails so.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	v := &vectors{dir: t.TempDir()}
	if err := v.spill(); err != nil {
		t.Fatal(err)
	}
	v.file.Close()
	v.file = full
	v.out.Reset(full)
	f(v, "no space left", []float32{1})
}

// The history of this test is five times its budget, ten times what may lie in memory of it.
const (
	bigRows, bigDim = 24_000, 1_000
	bigBytes        = 4 * bigRows * bigDim
	bigMemory       = bigBytes / 5
)

func bigHistory(rows int) History {
	return func(yield func(Row, error) bool) {
		random := rand.New(rand.NewPCG(1, 1))
		values := make([]float32, 3*bigDim)
		for j := range values {
			values[j] = random.Float32() - .5
		}
		for i := range rows {
			row := Row{Vector: make([]float32, bigDim), Category: i % 3, ID: fmt.Sprintf("vacancy-%d", i)}
			copy(row.Vector, values[random.IntN(2*bigDim):])
			row.Vector[row.Category] += .5
			if !yield(row, nil) {
				return
			}
		}
	}
}

// bigResult is what a training in a process of its own says.
type bigResult struct {
	Model string
	Heap  float64 // what Go's heap has taken, in bytes
}

// A training takes the memory it may, and makes the same classifier of a file as it does in memory.
func TestRunInLittleMemory(t *testing.T) {
	if memory := os.Getenv("TRAINER_TEST_MEMORY"); memory != "" {
		trainBig(t, memory)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	train := func(memory int64) (r bigResult) {
		t.Helper()
		cmd := exec.Command(self, "-test.run", "^TestRunInLittleMemory$")
		out := filepath.Join(t.TempDir(), "result")
		cmd.Env = append(os.Environ(), fmt.Sprint("TRAINER_TEST_MEMORY=", memory), "TRAINER_TEST_OUT="+out)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		data, err := os.ReadFile(out)
		if err == nil {
			err = json.Unmarshal(data, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	little, much := train(bigMemory), train(1<<30)
	if little.Model != much.Model {
		t.Error("with little memory another classifier is made")
	}
	t.Logf("%.0f MB of vectors: %.0f MB of heap with little memory, %.0f MB with enough", bigBytes/1e6, little.Heap/1e6, much.Heap/1e6)
	if little.Heap > bigBytes {
		t.Errorf("training on %d bytes of vectors within %d took %.0f bytes", bigBytes, bigMemory, little.Heap)
	}
	if much.Heap < bigBytes {
		t.Errorf("with enough memory it took %.0f bytes: what is measured says nothing", much.Heap)
	}
}

// trainBig is that process.
func trainBig(t *testing.T, memory string) {
	bytes, err := strconv.ParseInt(memory, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), bigHistory(bigRows), RunOptions{
		Encoder: "enc", Taxonomy: taxonomy(t), Tolerance: 1e-3, TrainedAt: time.Unix(1, 0), Memory: bytes, Dir: t.TempDir(), Split: ByVacancy, Validation: .02, Test: .02,
		Settings: append(penalties(1e-3), Setting{Method: MethodAdamW, ClassWeights: WeightsNone, LearningRate: 1e-3, Batch: 512, Epochs: 1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	data, err := json.Marshal(bigResult{r.Classifier.Id, float64(heap.HeapSys)})
	if err == nil {
		err = os.WriteFile(os.Getenv("TRAINER_TEST_OUT"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Of the file no more stays in this process's memory than may.
func TestVectorsHold(t *testing.T) {
	const n, width, limit = 2000, 4096, 4 << 20 // 32 MB
	before, err := mappedBytes()
	if err != nil {
		t.Fatal(err)
	}
	v := &vectors{limit: limit, dir: t.TempDir()}
	defer v.close()
	for i := range n {
		x := make([]float32, width)
		x[i%width] = 1
		if err := v.add(x); err != nil {
			t.Fatal(err)
		}
	}
	all, err := v.all()
	if err != nil {
		t.Fatal(err)
	}
	var sum float32
	for _, x := range all {
		for _, y := range x {
			sum += y
		}
	}
	if sum != n {
		t.Fatalf("the vectors add up to %v, want %d", sum, n)
	}
	for deadline := time.Now().Add(3 * time.Minute); ; <-time.After(time.Millisecond) {
		now, err := mappedBytes()
		if err != nil {
			t.Fatal(err)
		}
		if now-before <= limit {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes of the file stay in memory, %d may", now-before, limit)
		}
	}
}
