package web

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func language(t *testing.T, code string) *Language {
	t.Helper()
	l, err := newLanguage(code)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNumbersAndTimes(t *testing.T) {
	da, en := language(t, "da"), language(t, "en")
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(da.Number(1234567.891, 1), "1.234.567,9")
	f(en.Number(1234567.891, 1), "1,234,567.9")
	f(da.Number(-1234.5, 2), "−1.234,50")
	f(da.Number(-0.001, 1), "0,0")
	f(da.Number(999.96, 1), "1.000,0")
	f(da.Number(0, 0), "0")
	f(da.Number(math.NaN(), 1), "–")
	f(da.Number(math.Inf(1), 1), "–")
	f(da.Whole(uint64(41404)), "41.404")
	f(da.Percent(0.9312), "93,1\u00a0%")
	f(en.Percent(0.9312), "93.1%")
	f(da.Seconds(0.31), "310\u00a0ms")
	f(da.Seconds(0.9996), "1,0\u00a0s")
	f(da.Seconds(90), "1,5\u00a0min")
	f(da.Bytes(34012), "34,0\u00a0kB")
	f(da.Bytes(34012000), "34,0\u00a0MB")
	f(da.Moment(noon), "27. november 2026 kl. 14.05")
	f(en.Moment(noon), "27 November 2026 at 14:05")
	f(da.Day(noon.AddDate(0, 6, 0)), "27. maj 2027")
	f(da.Minute(noon.AddDate(0, 6, 0)), "15.05") // summer time
	f(da.Short(time.Date(2026, 1, 2, 23, 30, 0, 0, time.UTC)), "03.01.2026 00.30")
	f(en.Short(noon), "27/11/2026, 14:05")
	f(da.Clock(noon), "14.05.00")
}

// What the server writes and what the live page's script writes must look the same, so the browser's own forms are the measure.
func TestFormsAreThoseOfTheBrowser(t *testing.T) {
	t.Parallel()
	b := open(t, serve(t, newWorld(t).sources(), openDoor()), desktop())
	b.see("/")
	for code, locale := range map[string]string{"da": "da-DK", "en": "en-GB"} {
		l := language(t, code)
		f := func(got, expression string) {
			t.Helper()
			if want := is[string](b, expression); got != want {
				t.Errorf("%s: got %q, the browser says %q for %s", code, got, want, expression)
			}
		}
		for _, v := range []float64{0, 0.04, 12.34, 1234.56, 1234567.8} {
			f(l.Number(v, 1), fmt.Sprintf(`new Intl.NumberFormat(%q, {minimumFractionDigits: 1, maximumFractionDigits: 1}).format(%g)`, locale, v))
			f(l.Percent(v/2000000), fmt.Sprintf(`new Intl.NumberFormat(%q, {style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1}).format(%g)`, locale, v/2000000))
		}
		for _, at := range []time.Time{noon, noon.AddDate(0, 6, 3).Add(9 * time.Hour)} {
			for options, got := range map[string]string{
				`{dateStyle: "long", timeStyle: "short"`: l.Moment(at), `{timeStyle: "medium"`: l.Clock(at), `{dateStyle: "long"`: l.Day(at), `{timeStyle: "short"`: l.Minute(at),
			} {
				f(got, fmt.Sprintf(`new Intl.DateTimeFormat(%q, %s, timeZone: "Europe/Copenhagen"}).format(new Date(%d))`, locale, options, at.UnixMilli()))
			}
		}
	}
}
