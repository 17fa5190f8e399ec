package trainer

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Setting is one way to fit a classifier. Two that are equal fit the same. What its method does not use is 0.
type Setting struct {
	// Method, ClassWeights and L2 are those of Options.
	Method       string  `json:"method"`
	ClassWeights string  `json:"class_weights"`
	L2           float64 `json:"l2,omitempty"`
	// LearningRate, Batch, Epochs and Decay are those of AdamW, but that a Decay of 0 is none.
	LearningRate float64 `json:"learning_rate,omitempty"`
	Batch        int     `json:"batch,omitempty"`
	Epochs       int     `json:"epochs,omitempty"`
	Decay        float64 `json:"decay,omitempty"`
}

// defaultSetting returns the setting that Options without values stand for, but for the method.
func defaultSetting(method string) Setting {
	o := Options{Method: method, Library: noLibrary}
	o.EnsureDefaults()
	s := Setting{Method: method, ClassWeights: o.ClassWeights}
	if method == MethodAdamW {
		s.LearningRate, s.Batch, s.Epochs, s.Decay = o.AdamW.LearningRate, o.AdamW.Batch, o.AdamW.Epochs, o.AdamW.Decay
	} else {
		s.L2 = o.L2
	}
	return s
}

// noLibrary stands for the file of ONNX Runtime in options that nothing is fitted with.
const noLibrary = "none"

// Apply sets the options that the setting decides.
func (s Setting) Apply(o *Options) {
	o.Method, o.ClassWeights = s.Method, s.ClassWeights
	if s.Method != MethodAdamW {
		o.L2 = s.L2
		return
	}
	o.AdamW = AdamW{LearningRate: s.LearningRate, Batch: s.Batch, Epochs: s.Epochs, Decay: s.Decay}
	if s.Decay == 0 {
		o.AdamW.Decay = -1 // 0 would be the default
	}
}

// Validate reports every violation at once.
func (s Setting) Validate() error {
	o := Options{Categories: 2, Library: noLibrary}
	o.EnsureDefaults()
	s.Apply(&o)
	errs := []error{o.Validate()}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if s.Method == MethodAdamW {
		check(s.L2 == 0, "L2 (%v) must be 0: it belongs to %s", s.L2, MethodLBFGS)
		check(s.Decay >= 0, "Decay (%v) must be >= 0", s.Decay)
	} else {
		check(s.LearningRate == 0 && s.Batch == 0 && s.Epochs == 0 && s.Decay == 0, "LearningRate (%v), Batch (%d), Epochs (%d) and Decay (%v) must be 0: they belong to %s",
			s.LearningRate, s.Batch, s.Epochs, s.Decay, MethodAdamW)
	}
	return errors.Join(errs...)
}

// String names the setting in reports, as "lbfgs l2=1e-4 weights=balanced". Settings that differ have other names.
func (s Setting) String() string {
	if s.Method == MethodAdamW {
		return fmt.Sprintf("%s rate=%s batch=%d epochs=%d decay=%s weights=%s", s.Method, brief(s.LearningRate), s.Batch, s.Epochs, brief(s.Decay), s.ClassWeights)
	}
	return fmt.Sprintf("%s l2=%s weights=%s", s.Method, brief(s.L2), s.ClassWeights)
}

// brief writes a number exactly, those below 0.01 and from a million on with an exponent: 0.01, 1e-3, 2.5e6.
func brief(v float64) string {
	if size := math.Abs(v); size == 0 || size >= .01 && size < 1e6 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	mantissa, exponent, finite := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
	if !finite {
		return mantissa
	}
	sign := strings.TrimPrefix(exponent[:1], "+")
	return mantissa + "e" + sign + strings.TrimLeft(exponent[1:], "0")
}
