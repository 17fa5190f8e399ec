package trainer

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vectors keeps the vectors of a history: in memory, or beyond a limit in a file that is mapped into memory, so that every pass reads
// them from there. The file loses its name as soon as it is open: nothing stays behind, whatever ends the process.
type vectors struct {
	limit int64  // bytes in memory
	dir   string // of the file

	width, n int
	held     [][]float32
	file     *os.File
	out      *bufio.Writer
	mapped   []byte
	stop     chan struct{}
	holding  sync.WaitGroup
}

// add takes a vector, which belongs to vectors from then on.
func (v *vectors) add(x []float32) error {
	if v.n == 0 {
		v.width = len(x)
	}
	if len(x) != v.width || v.width == 0 {
		return fmt.Errorf("%w: its vector has %d components, that of the first has %d", ErrExamples, len(x), v.width)
	}
	v.n++
	if v.file == nil && int64(v.n)*int64(v.width)*4 <= v.limit {
		v.held = append(v.held, x)
		return nil
	}
	if v.file == nil {
		if err := v.spill(); err != nil {
			return err
		}
	}
	return v.write(x)
}

// spill moves what is held into a new file.
func (v *vectors) spill() error {
	file, err := os.CreateTemp(v.dir, "jobstrom-vectors-")
	if err != nil {
		return fmt.Errorf("keeping vectors in a file, for want of memory: %w", err)
	}
	v.file, v.out = file, bufio.NewWriterSize(file, 1<<20)
	if err := os.Remove(file.Name()); err != nil {
		return fmt.Errorf("keeping vectors in a file, for want of memory: %w", err)
	}
	for _, x := range v.held {
		if err := v.write(x); err != nil {
			return err
		}
	}
	v.held = nil
	return nil
}

func (v *vectors) write(x []float32) error {
	if _, err := v.out.Write(unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))); err != nil {
		return v.full(err)
	}
	return nil
}

func (v *vectors) full(err error) error {
	return fmt.Errorf("keeping %d vectors in a file in %s, for want of memory: %w; allow more memory, or choose another folder", v.n, v.dir, err)
}

// all returns the vectors in the order they were added. They end with close.
func (v *vectors) all() ([][]float32, error) {
	if v.file == nil {
		return v.held, nil
	}
	if err := v.out.Flush(); err != nil {
		return nil, v.full(err)
	}
	var err error
	v.mapped, err = unix.Mmap(int(v.file.Fd()), 0, v.n*v.width*4, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %d vectors into memory: %w", v.n, err)
	}
	v.out = nil
	x := unsafe.Slice((*float32)(unsafe.Pointer(&v.mapped[0])), v.n*v.width)
	all := make([][]float32, v.n)
	for i := range all {
		all[i] = x[i*v.width : (i+1)*v.width : (i+1)*v.width]
	}
	// Before any page is read: a busy machine may start hold only when many are.
	if before, err := mappedBytes(); err == nil {
		v.stop = make(chan struct{})
		v.holding.Go(func() { v.hold(before) })
	}
	return all, nil
}

// hold gives the mapped pages back whenever this process holds more than the limit beyond what it held before; those that are read again come from the system's cache or
// the disk. Between two looks a fast reader may pass the limit by some 100 MB, which the system can take back at any time. Where the system does not tell
// how much there is, it decides alone.
func (v *vectors) hold(before int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-tick.C:
		}
		if now, err := mappedBytes(); err == nil && now-before > v.limit {
			_ = unix.Madvise(v.mapped, unix.MADV_DONTNEED) // it only ever frees memory
		}
	}
}

// mappedBytes returns how much of this process's memory is pages of files.
func mappedBytes() (int64, error) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(data), &size, &resident, &shared); err != nil {
		return 0, err
	}
	return shared * int64(os.Getpagesize()), nil
}

// close frees what is kept. The vectors that all gave must not be touched any more.
func (v *vectors) close() error {
	var errs []error
	if v.stop != nil {
		close(v.stop)
		v.holding.Wait()
		v.stop = nil
	}
	if v.mapped != nil {
		errs = append(errs, unix.Munmap(v.mapped))
		v.mapped = nil
	}
	if v.file != nil {
		errs = append(errs, v.file.Close())
		v.file = nil
	}
	v.held = nil
	return errors.Join(errs...)
}
