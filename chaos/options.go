package chaos

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Options of a run.
type Options struct {
	// Seed of the plan of faults.
	Seed uint64
	// Vacancies to publish, and how many a second. Defaults 100,000 and 60.
	Vacancies int
	Rate      float64
	// Kills by SIGKILL. Pauses, added and removed workers come on top.
	Kills int
	// Jobstrom is the command line of the program whose stages run, for example bin/jobstrom. Nil runs the same stages in processes of this program, with StubEncoder.
	Jobstrom []string
	// InTurn is what is done on purpose, step by step, in place of faults dealt from the seed. Such a run has an API and a watch for drift, too, and goes on until all is done and
	// Lasts is over, however many vacancies that takes.
	InTurn []Fault
	// Lasts is the least time that an InTurn run publishes.
	Lasts time.Duration
	// Previous is the program of the release before, with which all processes begin; nil begins with this one.
	Previous *Release
	// Plot is the file for an InTurn run's picture; empty draws none.
	Plot string
	// APIRate is how often a second the API is asked in an InTurn run, default 2.
	APIRate float64
	// StubEncoder replaces the processes of the embed stage by some of this program with a stub for the encoder.
	StubEncoder bool
	// GLiNER2 is the folder of a model that the extract stage asks beside the rules; empty asks none.
	GLiNER2 string
	// AtLeastOnce has workers commit offsets outside of transactions, to see that the check notices. It goes without Jobstrom.
	AtLeastOnce bool
	// Protocol of the consumer groups, default auto.
	Protocol string
	// Self is this program's command line, for children. Default the running executable.
	Self []string
	// Libs is the folder of Apache Kafka's jars; empty takes the embedded broker, which is not killed.
	Libs string
	// Engine is the library of ClickHouse's engine.
	Engine string
	// Dir gets data and logs.
	Dir string
	// DrainTimeout bounds the time from the last fault until nothing is left to do, default 15 minutes.
	DrainTimeout time.Duration
	// Timeline receives faults and progress. Nil discards.
	Timeline io.Writer
}

// Release is a program of some release: the command lines of jobstrom, and of the chaos program, whose stub embeds.
type Release struct{ Jobstrom, Self []string }

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.Vacancies == 0 {
		o.Vacancies = 100_000
	}
	if o.Rate == 0 {
		o.Rate = 60
	}
	if o.APIRate == 0 {
		o.APIRate = 2
	}
	if o.Protocol == "" {
		o.Protocol = "auto"
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 15 * time.Minute
	}
	if o.Timeline == nil {
		o.Timeline = io.Discard
	}
}

// Validate reports every violation.
func (o Options) Validate() error {
	var wrong []error
	check := func(ok bool, format string, values ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, values...))
		}
	}
	check(o.Vacancies > 0, "vacancies (%d) must be above 0", o.Vacancies)
	check(o.Rate > 0, "rate (%v) must be above 0", o.Rate)
	check(o.Kills >= 0, "kills (%d) must not be below 0", o.Kills)
	check(o.APIRate > 0, "api rate (%v) must be above 0", o.APIRate)
	check(o.InTurn == nil || o.Jobstrom != nil, "what is done in turn needs jobstrom")
	check(o.Previous == nil || o.InTurn != nil, "a previous release goes with steps that replace it")
	check(o.Dir != "", "dir must name a folder")
	check(o.Jobstrom != nil || o.StubEncoder, "without jobstrom only the stub encoder can run")
	check(o.Jobstrom == nil || !o.AtLeastOnce, "jobstrom knows no at-least-once: it goes with this program's own workers only")
	return errors.Join(wrong...)
}
