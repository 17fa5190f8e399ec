package models

import "math"

// Float16 widens an IEEE 754 half-precision number, given by its bits.
func Float16(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, int(h>>10&31), uint32(h&1023)
	switch exponent {
	case 0:
		v := math.Ldexp(float64(fraction), -24)
		return math.Float32frombits(sign | math.Float32bits(float32(v)))
	case 31:
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | uint32(exponent-15+127)<<23 | fraction<<13)
}
