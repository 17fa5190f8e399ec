package drift

import (
	"context"
	"fmt"
	"strings"
	"time"

	"jobstrom/warehouse"
)

// References says how ParseReference's text is written beyond a window, for help and errors.
const References = "model (the training window of the champion), model:ID, or before (the time before the current window, four times as long)"

// Reference is what a current window is compared with: a window that is given, or one that only the database or the current window tells.
type Reference struct {
	window Window
	model  string
	kind   string // of a window, model or before
}

// Kinds of references that are no window.
const (
	ofModel = "model"
	before  = "before"
)

// beforeTimes is how much longer than the current window the one before it is: the longer, the less of a difference is due to the reference's own chance.
const beforeTimes = 4

// ParseReference reads a reference as Windows and References describe it.
func ParseReference(text string, now time.Time) (Reference, error) {
	text = strings.TrimSpace(text)
	kind, model, named := strings.Cut(text, ":")
	switch {
	case text == before:
		return Reference{kind: before}, nil
	case kind == ofModel && named == (model != ""):
		return Reference{kind: ofModel, model: model}, nil
	}
	w, err := ParseWindow(text, now)
	if err != nil {
		return Reference{}, fmt.Errorf("%w, or %s", err, References)
	}
	return Reference{window: w}, nil
}

// Window returns the reference's window where it is one that is given.
func (r Reference) Window() (Window, bool) { return r.window, r.kind == "" }

// OfModel says whether it is the training window of a model.
func (r Reference) OfModel() bool { return r.kind == ofModel }

// Resolve returns the window that a current one is compared with. A training window ends where the current one begins, if that is earlier. Its error wraps
// ErrNothing where no training window is known, or none of it is earlier.
func (r Reference) Resolve(ctx context.Context, w *warehouse.Warehouse, current Window) (Window, error) {
	switch r.kind {
	case before:
		return current.Before(), nil
	case ofModel:
		trained, err := TrainingWindow(ctx, w, r.model)
		if err != nil {
			return Window{}, err
		}
		if !trained.From.Before(current.From) {
			return Window{}, fmt.Errorf("what the model was trained on, %s, is not older than the current window %s: name another: %w", trained, current, ErrNothing)
		}
		if trained.To.After(current.From) {
			trained.To = current.From
		}
		return trained, nil
	}
	return r.window, nil
}

// Before returns the window that ends where this one begins and is four times as long.
func (w Window) Before() Window {
	return Window{w.From.Add(-beforeTimes * w.To.Sub(w.From)), w.From}
}
