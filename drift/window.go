package drift

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Window is a span of the time at which vacancies were published: From is in it, To is not. Both are whole hours in UTC.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Windows says how ParseWindow's text is written, for help and errors.
const Windows = "2024, 2024-03, 2024-03-01, 2024-03-01..2024-06-30 (the last day is in it), 2024-03-01T08:00..2024-03-01T12:00, or last 7d (or 12h, 4w; up to the beginning of this hour)"

var lastSpan = regexp.MustCompile(`^last\s*(\d{1,5})([hdw])$`)

// ParseWindow reads a window as Windows describes it.
func ParseWindow(text string, now time.Time) (Window, error) {
	text = strings.TrimSpace(text)
	wrong := fmt.Errorf("window %q is none of %s", text, Windows)
	if m := lastSpan.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // five digits
		if n == 0 {
			return Window{}, wrong
		}
		unit := map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
		to := now.UTC().Truncate(time.Hour)
		w := Window{to.Add(-time.Duration(n) * unit), to}
		if err := w.Validate(); err != nil {
			return Window{}, fmt.Errorf("window %q: %w", text, err)
		}
		return w, nil
	}
	first, last, span := strings.Cut(text, "..")
	from, firstEnd, err := period(first)
	if err != nil {
		return Window{}, wrong
	}
	w := Window{from, firstEnd}
	if span {
		if _, w.To, err = period(last); err != nil {
			return Window{}, wrong
		}
	}
	if err := w.Validate(); err != nil {
		return Window{}, fmt.Errorf("window %q: %w", text, err)
	}
	return w, nil
}

// period returns the first moment of a year, month, day or hour and the first after it. An hour is written with its minutes and ends where it
// begins, because it is a boundary and not a span.
func period(text string) (from, to time.Time, err error) {
	for _, p := range []struct {
		layout              string
		years, months, days int
	}{{"2006", 1, 0, 0}, {"2006-01", 0, 1, 0}, {time.DateOnly, 0, 0, 1}, {"2006-01-02T15:04", 0, 0, 0}} {
		if from, err = time.Parse(p.layout, text); err == nil {
			return from, from.AddDate(p.years, p.months, p.days), nil
		}
	}
	return time.Time{}, time.Time{}, err
}

// Validate says what is wrong with a window.
func (w Window) Validate() error {
	switch {
	case !w.From.Before(w.To):
		return errors.New("it ends before it begins")
	case w.From.Truncate(time.Hour) != w.From || w.To.Truncate(time.Hour) != w.To:
		return errors.New("it must begin and end on the hour, because drift is kept by the hour")
	case w.From.Year() < 1900 || w.To.Year() > 2299: // what a DateTime64 holds
		return errors.New("it must lie between 1900 and 2299")
	}
	return nil
}

// named is Validate with the window's name in its error.
func (w Window) named(name string) error {
	if err := w.Validate(); err != nil {
		return fmt.Errorf("the %s window %s: %w", name, w, err)
	}
	return nil
}

// Overlaps says whether the two share any time.
func (w Window) Overlaps(v Window) bool { return w.From.Before(v.To) && v.From.Before(w.To) }

// String writes whole days without their hours, the last day as the last that is in the window.
func (w Window) String() string {
	from, to := w.From.UTC(), w.To.UTC()
	midnight := func(t time.Time) bool { return t.Truncate(24*time.Hour) == t }
	switch {
	case !midnight(from) || !midnight(to):
		return from.Format("2006-01-02T15:04") + ".." + to.Format("2006-01-02T15:04")
	case from.YearDay() == 1 && to == from.AddDate(1, 0, 0):
		return from.Format("2006")
	case from.Day() == 1 && to == from.AddDate(0, 1, 0):
		return from.Format("2006-01")
	case to == from.AddDate(0, 0, 1):
		return from.Format(time.DateOnly)
	}
	return from.Format(time.DateOnly) + ".." + to.AddDate(0, 0, -1).Format(time.DateOnly)
}
