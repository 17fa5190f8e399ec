package trainer

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// finishedJournal returns the path of a journal of two settings, and what it holds.
func finishedJournal(t testing.TB) (path string, o SweepOptions, data []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sweep.jsonl")
	j := journal(t, path)
	o = SweepOptions{Settings: settings(t, "l2: [1, 1e-2]"), Seed: 3, Journal: j}
	sweepAll(t, o)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, []byte("\n")); n != 2 || data[len(data)-1] != '\n' {
		t.Fatalf("the journal has %d lines: %s", n, data)
	}
	return path, o, data
}

// TestTornLine: wherever the last line was cut off, its setting is fitted again and the journal is whole in the end.
func TestTornLine(t *testing.T) {
	path, o, data := finishedJournal(t)
	first := bytes.IndexByte(data, '\n') + 1
	for _, cut := range []int{first + 1, first + 30, (first + len(data)) / 2, len(data) - 1} {
		if err := os.WriteFile(path, data[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		o.Journal = journal(t, path)
		if n := len(o.Journal.lines); n != 1 {
			t.Fatalf("cut off at %d, the journal has %d trials", cut, n)
		}
		want, id := outcomesOf(t, sweepAll(t, SweepOptions{Settings: o.Settings, Seed: 3}))
		got, gotID := outcomesOf(t, sweepAll(t, o))
		if gotID != id || got[0].Digest != want[0].Digest || len(o.Journal.lines) != 2 {
			t.Fatalf("cut off at %d, the sweep ends with %s, want %s", cut, gotID, id)
		}
		if err := o.Journal.Close(); err != nil {
			t.Fatal(err)
		}
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if lines, end, err := parseJournal(now); err != nil || len(lines) != 2 || end != int64(len(now)) {
			t.Fatalf("cut off at %d, the journal is %s in the end (%v)", cut, now, err)
		}
	}
}

// TestJournalOfOthers: trials of other examples or options do not count, are left where they are, and the logger hears why.
func TestJournalOfOthers(t *testing.T) {
	path, finished, data := finishedJournal(t)
	f := func(why string, change func(train, validation *Examples, o *SweepOptions)) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		o := finished
		train, validation := parts()
		o.Categories = 4
		change(&train, &validation, &o)
		var log bytes.Buffer
		calls := 0
		o.Journal, o.Logger, o.Progress = journal(t, path), slog.New(slog.NewTextHandler(&log, nil)), func(int, int, Trial) { calls++ }
		if _, err := Sweep(t.Context(), train, validation, o); err != nil {
			t.Fatal(err)
		}
		if err := o.Journal.Close(); err != nil {
			t.Fatal(err)
		}
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if calls != 2 || !bytes.HasPrefix(now, data) || bytes.Count(now, []byte("\n")) != 4 {
			t.Fatalf("other %s: %d settings were fitted, and the journal is %s", why, calls, now)
		}
		if strings.Count(log.String(), "does not count") != 2 || strings.Count(log.String(), "differs="+why) != 2 && strings.Count(log.String(), `differs="`+why) != 2 {
			t.Fatalf("other %s: the log says %s", why, log.String())
		}
	}
	f("examples", func(train, _ *Examples, _ *SweepOptions) { train.Vectors[5][1] += 1e-3 })
	f("examples", func(_, validation *Examples, _ *SweepOptions) { validation.Categories[5] = 0 })
	f("examples", func(train, _ *Examples, _ *SweepOptions) { train.Weights = slices.Repeat([]float64{1}, train.Len()) })
	f("examples", func(train, _ *Examples, _ *SweepOptions) {
		for _, c := range train.Categories {
			target := make([]float32, 4)
			target[c] = 1
			train.Targets = append(train.Targets, target)
		}
	})
	f("examples", func(_, _ *Examples, o *SweepOptions) { o.Categories = 5 })
	f("seed", func(_, _ *Examples, o *SweepOptions) { o.Seed = 4 })
	f("tolerance", func(_, _ *Examples, o *SweepOptions) { o.Tolerance = 1e-4 })
	f("max iterations", func(_, _ *Examples, o *SweepOptions) { o.MaxIterations = 7 })
}

// TestJournalFromElsewhere: a best trial that cannot be had again is not passed off as one.
func TestJournalFromElsewhere(t *testing.T) {
	path, o, data := finishedJournal(t)
	lines, _, err := parseJournal(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		data = bytes.ReplaceAll(data, []byte(l.Trial.Digest), []byte(strings.Repeat("0", 64)))
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	o.Journal, o.Categories = journal(t, path), 4
	train, validation := parts()
	if _, err := Sweep(t.Context(), train, validation, o); err == nil || !strings.Contains(err.Error(), "the journal has 000000000000") || !strings.Contains(err.Error(), "new journal") {
		t.Fatalf("Sweep = %v, want an error that names both classifiers", err)
	}
}

func TestOpenJournalFailure(t *testing.T) {
	path, _, data := finishedJournal(t)
	f := func(content, want string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenJournal(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Fatalf("OpenJournal = %v, want an error with the path and %q", err, want)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != content {
			t.Fatalf("a file that is no journal was changed to %s (%v)", now, err)
		}
	}
	whole := string(data)
	f("l2: 1", `line 1 ("l2: 1") does not begin with {"key":{"examples":"`) // no journal, and no line of one that was cut off
	f("{\n", "line 1")
	f(whole+"\x00\x00\x00", "line 3")
	f(whole+`{"key":{"examples":"`+"\n", "line 3: unexpected end")
	f(strings.Replace(whole, `"method":"lbfgs"`, `"method":"sgd"`, 1), `line 1: Method ("sgd")`)
	f(strings.Replace(whole, `"digest"`, `"error":"it diverged","digest"`, 1), "line 1 has a trial that failed")
	if _, err := OpenJournal(filepath.Join(path, "below")); err == nil || !strings.Contains(err.Error(), "opening the journal") {
		t.Fatalf("a journal below a file gives %v", err)
	}
	// Two sweeps in one journal would write over each other.
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	journal(t, path)
	if _, err := OpenJournal(path); err == nil || !strings.Contains(err.Error(), "another sweep has it") {
		t.Fatalf("a journal that is open gives %v", err)
	}
	// What cannot be kept ends the sweep.
	closed := journal(t, filepath.Join(t.TempDir(), "closed.jsonl"))
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	train, validation := parts()
	if _, err := Sweep(t.Context(), train, validation, SweepOptions{Categories: 4, Settings: settings(t, smallGrid), Journal: closed}); err == nil || !strings.Contains(err.Error(), "writing to the journal") {
		t.Fatalf("a sweep whose journal is closed gives %v", err)
	}
}

// FuzzParseJournal: whatever a file has, there is an error or trials of valid settings, and the end of a whole line.
func FuzzParseJournal(f *testing.F) {
	f.Add([]byte(`{"key":{"examples":"a","seed":1},"trial":{"setting":{"method":"lbfgs","class_weights":"none","l2":1},"curve":{"points":[{"step":1}]}}}` + "\n" + `{"key":{"exam`))
	f.Add([]byte(`{"key":{"examples":"a"},"trial":{"setting":{"method":"adamw"}}}` + "\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, end, err := parseJournal(data)
		if err != nil {
			return
		}
		if bytes.Count(data, []byte("\n")) != len(lines) || int(end) != bytes.LastIndexByte(data, '\n')+1 {
			t.Fatalf("%d trials, which end at %d, of %q", len(lines), end, data)
		}
		for _, l := range lines {
			if err := l.Trial.Setting.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
