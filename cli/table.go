package cli

import (
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
)

// newTable returns a table for people, which Render writes.
func newTable(out io.Writer, header ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(out)
	t.AppendHeader(header)
	return t
}

// table returns one that goes to the output.
func (a *app) table(header ...any) table.Writer { return newTable(a.out, header...) }
