package web

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// nbsp keeps a figure and its unit on one line.
const nbsp = "\u00a0"

// Number writes a number with so many decimals as the language has it: 1.234,5 or 1,234.5. What is no number is a dash.
func (l *Language) Number(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'f', decimals, 64), ".")
	var b strings.Builder
	if v < 0 && strings.Trim(whole+fraction, "0") != "" {
		b.WriteString("−")
	}
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(l.form.group)
		}
		b.WriteRune(digit)
	}
	if fraction != "" {
		b.WriteString(l.form.decimal + fraction)
	}
	return b.String()
}

// Whole writes a count.
func (l *Language) Whole(n any) string {
	switch n := n.(type) {
	case int:
		return l.Number(float64(n), 0)
	case uint32:
		return l.Number(float64(n), 0)
	case uint64:
		return l.Number(float64(n), 0)
	}
	return "–"
}

// Percent writes a share in [0, 1] with one decimal.
func (l *Language) Percent(share float64) string { return l.Number(100*share, 1) + l.form.percent }

// Seconds writes a time with a unit that suits it.
func (l *Language) Seconds(s float64) string {
	switch {
	case s < 0.9995:
		return l.Number(1000*s, 0) + nbsp + "ms"
	case s < 59.95:
		return l.Number(s, 1) + nbsp + "s"
	}
	return l.Number(s/60, 1) + nbsp + "min"
}

// Bytes writes a size.
func (l *Language) Bytes(n int) string {
	if n < 1_000_000 {
		return l.Number(float64(n)/1000, 1) + nbsp + "kB"
	}
	return l.Number(float64(n)/1e6, 1) + nbsp + "MB"
}

// Day writes a date: 27. november 2026.
func (l *Language) Day(t time.Time) string {
	t = t.In(l.zone)
	return strconv.Itoa(t.Day()) + l.form.ordinal + " " + l.form.months[t.Month()-1] + " " + strconv.Itoa(t.Year())
}

// Moment writes a date and a time: 27. november 2026 kl. 14.05.
func (l *Language) Moment(t time.Time) string {
	return l.Day(t) + " " + l.form.at + " " + t.In(l.zone).Format(l.form.minute)
}

// Short is Moment in figures: 27.11.2026 14.05.
func (l *Language) Short(t time.Time) string { return t.In(l.zone).Format(l.form.short) }

// Clock writes a time of the day with seconds: 14.05.09.
func (l *Language) Clock(t time.Time) string { return t.In(l.zone).Format(l.form.clock) }

// Minute writes a time of the day: 14.05.
func (l *Language) Minute(t time.Time) string { return t.In(l.zone).Format(l.form.minute) }

// DayMonth writes a date of this year: 27.11.
func (l *Language) DayMonth(t time.Time) string { return t.In(l.zone).Format(l.form.dayMonth) }

// form is how a language writes numbers and times. They are those of the browser's da-DK and en-GB, so that server and page agree.
type form struct {
	decimal, group, percent        string
	ordinal, at                    string
	months                         [12]string
	minute, clock, short, dayMonth string
	csvDelimiter                   rune
}

func forms(code string) form {
	if code == "en" {
		return form{
			decimal: ".", group: ",", percent: "%", at: "at", minute: "15:04", clock: "15:04:05", short: "02/01/2006, 15:04", dayMonth: "02/01", csvDelimiter: ',',
			months: [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
		}
	}
	return form{
		decimal: ",", group: ".", percent: nbsp + "%", ordinal: ".", at: "kl.", minute: "15.04", clock: "15.04.05", short: "02.01.2006 15.04", dayMonth: "02.01", csvDelimiter: ';',
		months: [12]string{"januar", "februar", "marts", "april", "maj", "juni", "juli", "august", "september", "oktober", "november", "december"},
	}
}
