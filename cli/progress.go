package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"golang.org/x/term"
)

// bar shows progress on a terminal and nothing elsewhere; lines logged meanwhile stand above it.
type bar struct {
	writer  progress.Writer
	tracker *progress.Tracker
	stopped chan struct{}
	plain   io.Writer
}

// progress starts a bar of a known total, or a count with 0. Without a terminal, lines go to plain.
func (a *app) progress(message string, total int, plain io.Writer) *bar {
	file, ok := a.err.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || a.format == "json" {
		return &bar{plain: plain}
	}
	w := progress.NewWriter()
	w.SetOutputWriter(file)
	w.SetAutoStop(false)
	w.SetUpdateFrequency(100 * time.Millisecond)
	w.SetStyle(progress.StyleBlocks)
	t := &progress.Tracker{Message: message, Total: int64(total)}
	w.AppendTracker(t)
	b := &bar{writer: w, tracker: t, stopped: make(chan struct{}), plain: plain}
	go func() {
		w.Render()
		close(b.stopped)
	}()
	return b
}

func (b *bar) add(n int) {
	if b.tracker != nil {
		b.tracker.Increment(int64(n))
	}
}

func (b *bar) log(format string, values ...any) {
	if b.writer != nil {
		b.writer.Log(format, values...)
		return
	}
	fmt.Fprintf(b.plain, format+"\n", values...)
}

// done ends the bar and waits until its last picture is drawn.
func (b *bar) done() {
	if b.writer == nil {
		return
	}
	b.tracker.MarkAsDone()
	b.writer.Stop()
	<-b.stopped
	b.writer = nil
}

// phases shows one bar after the other.
type phases struct {
	app   *app
	phase string
	at    int
	bar   *bar
}

func (a *app) phases() *phases { return &phases{app: a} }

// show says that so much of a phase is done, of a total or, with 0, of nobody knows how much.
func (p *phases) show(phase string, done, of int) {
	if p.bar == nil || phase != p.phase {
		p.done()
		p.phase, p.at, p.bar = phase, 0, p.app.progress(phase, of, p.app.err)
	}
	p.bar.add(done - p.at)
	p.at = done
}

// log writes a line above the bar.
func (p *phases) log(format string, values ...any) {
	if p.bar == nil {
		fmt.Fprintf(p.app.err, format+"\n", values...)
		return
	}
	p.bar.log(format, values...)
}

func (p *phases) done() {
	if p.bar != nil {
		p.bar.done()
		p.bar = nil
	}
}
