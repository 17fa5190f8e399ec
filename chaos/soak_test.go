package chaos

import (
	"fmt"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// steady are the samples of 20 minutes of a flow in which a worker is restarted after 5 minutes, and a stage's lag rises to 300 for 20 s then.
func steady() ([]Sample, []Done) {
	var samples []Sample
	for i := range 1200 {
		at := time.Duration(i) * time.Second
		s := Sample{At: at, Classified: 25 * i, Lag: map[string]int{"extract": i % 4, "embed": i % 9, "classify": 60 + i%5, "sink": 10 + i%20}, Parts: map[string]Usage{
			"extract/0": {PID: 10, RSS: 60e6 + int64(i%30)*1e5, Goroutines: 30}, "sink": {PID: 11, RSS: 90e6, Goroutines: 25}, "broker/0": {PID: 12, RSS: 450e6},
		}}
		if i >= 300 && i < 320 {
			s.Lag["embed"] = 300
		}
		if i >= 300 {
			s.Parts["extract/0"] = Usage{PID: 20, RSS: 60e6, Goroutines: 30}
		}
		samples = append(samples, s)
	}
	return samples, []Done{{Fault: Fault{Kind: Restart, Target: "extract/0"}, Began: 300 * time.Second, Ready: 3 * time.Second, CaughtUp: 21 * time.Second}}
}

func TestJudgeAcceptsWhatIsFlat(t *testing.T) {
	samples, done := steady()
	s := Judge(samples, done, 25)
	if len(s.Findings) > 0 {
		t.Errorf("findings of a steady flow: %q", s.Findings)
	}
	if s.MostLag["embed"] != 300 || s.Back[0] != 20*time.Second || len(s.Memory) != 3 || !s.Memory[0].Judged || s.Memory[0].RSS.Over > 12*time.Minute {
		t.Errorf("got %+v", s)
	}
	var out strings.Builder
	s.Write(&out, done)
	for _, want := range []string{"restart extract/0", "20.0 s", "broker/0", "450 MB", "highest"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the figures do not say %q:\n%s", want, out.String())
		}
	}
}

func TestJudgeFindsEachFault(t *testing.T) {
	f := func(want string, change func(i int, s *Sample)) {
		t.Helper()
		samples, done := steady()
		for i := range samples {
			change(i, &samples[i])
		}
		found := Judge(samples, done, 25).Findings
		if len(found) != 1 || !strings.Contains(found[0], want) {
			t.Errorf("found %q, want %q alone", found, want)
		}
	}
	use := func(s *Sample, part string, rss, routines int) {
		u := s.Parts[part]
		u.RSS, u.Goroutines = u.RSS+int64(rss), u.Goroutines+routines
		s.Parts[part] = u
	}
	f("sink: its memory grew by 17", func(i int, s *Sample) { use(s, "sink", i*17000, 0) })
	f("extract/0: its memory grew", func(i int, s *Sample) { use(s, "extract/0", max(0, i-500)*20000, 0) })
	f("sink: its goroutines grew by 10", func(i int, s *Sample) { use(s, "sink", 0, i/100) })
	f("restart extract/0: 1m0s after it was ready some lag was still above", func(i int, s *Sample) {
		if i >= 320 && i < 365 {
			s.Lag["embed"] = 260
		}
	})
	f("restart extract/0: 1m0s after it was ready some lag was still above", func(i int, s *Sample) { // it comes back for a moment only
		if i >= 320 && i < 365 && i%5 != 0 {
			s.Lag["embed"] = 260
		}
	})
	f("classify: after the last step its lag had", func(i int, s *Sample) { s.Lag["classify"] = max(0, i-450) / 8 })
	f("sink: after the last step its lag had a median of 300", func(i int, s *Sample) {
		if i > 380 {
			s.Lag["sink"] = 300
		}
	})
}

// The picture holds lines of every colour that it should.
func TestDraw(t *testing.T) {
	samples, done := steady()
	file := filepath.Join(t.TempDir(), "soak.png")
	if err := Draw(file, samples, done); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	picture, err := png.Decode(in)
	if err != nil {
		t.Fatal(err)
	}
	count := map[color.Color]int{}
	for x := range picture.Bounds().Dx() {
		for y := range picture.Bounds().Dy() {
			count[color.RGBAModel.Convert(picture.At(x, y))]++
		}
	}
	for i, c := range soakColours[:4] { // four stages
		if count[c] < 500 {
			t.Errorf("%d points have colour %d, want a line of them", count[c], i)
		}
	}
	if err := Draw(filepath.Join(t.TempDir(), "nowhere", "soak.png"), samples, done); err == nil {
		t.Error("a picture was written into a folder that is not there")
	}
}

func TestNothingMeasuredIsAFinding(t *testing.T) {
	if s := Judge(nil, nil, 25); len(s.Findings) != 1 {
		t.Errorf("found %q", s.Findings)
	}
}

// Every part is restarted in turn, and the order is that of an upgrade.
func TestPlansInTurn(t *testing.T) {
	upgrade := UpgradePlan()
	seen := map[string]int{}
	for _, f := range upgrade {
		seen[f.Target]++
	}
	for _, part := range Releases() {
		if seen[part] == 0 {
			t.Errorf("%s is not upgraded", part)
		}
	}
	if upgrade[0].Target != "sink" || upgrade[len(upgrade)-1].Kind != RollBack {
		t.Errorf("the plan begins with %v and ends with %v", upgrade[0], upgrade[len(upgrade)-1])
	}
	plan := RestartPlan(time.Minute, 15*time.Minute, 3)
	if first, last := plan[0], plan[len(plan)-1]; first.At != time.Minute || last.At != 15*time.Minute || fmt.Sprint(last.Target) != "broker/2" || len(plan) != len(Releases())+4 {
		t.Errorf("%d steps from %v to %v", len(plan), first, last)
	}
}
