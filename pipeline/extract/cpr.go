package extract

import "time"

// cprDate tells whether ten digits begin with a date that exists. The seventh digit gives the century:
// the CPR office, "Personnummeret i CPR-systemet". The old check digit was given up in 2007 and is not looked at.
func cprDate(d []byte) bool {
	two := func(i int) int { return int(d[i]-'0')*10 + int(d[i+1]-'0') }
	day, month, year := two(0), two(2), two(4)
	switch c := d[6]; {
	case c <= '3':
		year += 1900
	case c == '4' || c == '9':
		if year <= 36 {
			year += 2000
		} else {
			year += 1900
		}
	default: // 5 to 8
		if year <= 57 {
			year += 2000
		} else {
			year += 1800
		}
	}
	if month < 1 || month > 12 || day < 1 {
		return false
	}
	return day <= time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// isDash tells whether r is one of the dashes people type.
func isDash(r rune) bool { return r == '-' || r >= 0x2010 && r <= 0x2015 || r == 0x2212 }
