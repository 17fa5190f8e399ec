package producers

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// errDate never quotes what is no date.
var errDate = errors.New("not a date from 1970 to 2199 like 2022-01-31, 31-01-2022, 31.01.2022 or 2022-01-31T08:00:00Z")

// days and clocks are what dates are put together from, the day before the month. Go reads 1-2-2022 by the same layout as 01-02-2022, and fractions after the
// seconds by any.
var (
	days   = []string{"2006-1-2", "2-1-2006", "2.1.2006"}
	clocks = []string{"", " 15:04:05", "T15:04:05", " 15:04", "T15:04", " 15.04", " 15.04.05", "T15:04:05Z07:00", " 15:04:05Z07:00", "T15:04:05Z0700"}
)

// parseDate reads a date, with or without a time of day, which is UTC where no zone is named. A whole number of 10, 13, 16 or 19 digits counts seconds,
// milliseconds, microseconds or nanoseconds since 1970; one of 8 is yyyymmdd.
func parseDate(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch len(s) {
		case 8:
			t, err := time.Parse("20060102", s)
			return plausible(t, err == nil)
		case 10:
			return plausible(time.Unix(n, 0), true)
		case 13:
			return plausible(time.UnixMilli(n), true)
		case 16:
			return plausible(time.UnixMicro(n), true)
		case 19:
			return plausible(time.Unix(0, n), true)
		}
		return time.Time{}, errDate
	}
	for _, day := range days {
		for _, clock := range clocks {
			if t, err := time.Parse(day+clock, s); err == nil {
				return plausible(t, true)
			}
		}
	}
	return time.Time{}, errDate
}

// plausible refuses times that ClickHouse does not keep.
func plausible(t time.Time, ok bool) (time.Time, error) {
	if t = t.UTC(); !ok || t.Year() < 1970 || t.Year() > 2199 {
		return time.Time{}, errDate
	}
	return t, nil
}

// datesInPaths are the ways a path tells a date: 2022/05/17, 2022-05-17, 20220517, 2022/05, 2022-05, 2022.
var datesInPaths = []*regexp.Regexp{
	regexp.MustCompile(`(?:^|[^0-9])((?:19|20|21)\d\d)([-/_.]?)(\d\d)([-/_.]?)(\d\d)(?:[^0-9]|$)`),
	regexp.MustCompile(`(?:^|[^0-9])((?:19|20|21)\d\d)([-/_.])(\d\d)(?:[^0-9]|$)`),
	regexp.MustCompile(`(?:^|/)((?:19|20|21)\d\d)/`),
}

// dateOfPath returns the first date that a path with slashes names; a month's is its first day, a year's the first of January.
func dateOfPath(path string) (time.Time, bool) {
	for _, way := range datesInPaths {
		for _, m := range way.FindAllStringSubmatch(path, -1) {
			digits := m[1] + "01" + "01"
			switch {
			case len(m) == 6:
				digits = m[1] + m[3] + m[5]
			case len(m) == 4:
				digits = m[1] + m[3] + "01"
			}
			if t, err := parseDate(digits); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}
