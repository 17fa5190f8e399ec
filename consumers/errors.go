package consumers

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// The catalogue of errors. A record's own fault has a class and makes a dead letter; everything else has a verdict.
var (
	// ErrTooLarge means that a stage's answer is larger than the broker takes.
	ErrTooLarge = errors.New("the answer is larger than its topic takes")
	// ErrTemporary marks what a stage knows will pass: the worker tries again for as long as it takes.
	ErrTemporary = errors.New("temporary")
	// errSystemic means that every record of a batch failed alone, too: the fault is not theirs.
	errSystemic = errors.New("no record of the batch can be answered")
)

// Classes is the catalogue of error classes: for dead letters, metrics and people. docs/architecture.md says what each means.
var Classes = []string{"malformed", "nothing_extracted", "other_encoder", "too_large", "internal"}

// Class names the kind of an error:
//
//	malformed          the bytes are no message of ours, or a field breaks a rule: the publisher must mend it
//	nothing_extracted  no occupation, task or skill was found in the text
//	other_encoder      a vector of another encoder than the classifier takes
//	too_large          what the stage made of the record is larger than the next topic takes
//	internal           anything else: a defect of ours
func Class(err error) string {
	switch {
	case errors.Is(err, schemas.ErrMalformed), errors.Is(err, classify.ErrBadVector): // another program wrote such a vector: no encoder makes one
		return "malformed"
	case errors.Is(err, extract.ErrNothingExtracted):
		return "nothing_extracted"
	case errors.Is(err, classify.ErrOtherEncoder):
		return "other_encoder"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	}
	return "internal"
}

// Verdict says what a worker does about an error that hit a whole batch.
type Verdict string

const (
	// Retry: the world is at fault and will mend. The worker pauses and tries again, for ever.
	Retry Verdict = "retry"
	// Suspect: a record may be at fault. After Attempts the batch is bisected and what fails alone becomes a dead letter.
	Suspect Verdict = "suspect"
	// Fatal: nobody can retry this. The worker ends and says what to do.
	Fatal Verdict = "fatal"
)

// Judge gives the verdict on an error that is not one record's own.
//
//	retry    broker or coordinator away, rebalances, time-outs, connections lost, disk full, ErrTemporary
//	suspect  whatever a stage returns otherwise, panics included
//	fatal    missing rights, wrong credentials, settings the broker refuses, a broker too old
func Judge(err error) Verdict {
	var network net.Error
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed),
		errors.Is(err, kerr.TransactionalIDAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed),
		errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism),
		errors.Is(err, kerr.InvalidTransactionTimeout), errors.Is(err, kerr.InvalidSessionTimeout),
		errors.Is(err, kerr.UnsupportedVersion), errors.Is(err, kerr.InconsistentGroupProtocol),
		errors.Is(err, kerr.UnsupportedAssignor), errors.Is(err, kerr.InvalidConfig):
		return Fatal
	case errors.Is(err, ErrTemporary), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ENOSPC),
		errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kgo.ErrRecordRetries), errors.Is(err, kgo.ErrClientClosed):
		return Retry
	}
	// What else Kafka says is about the connection, the group or the transaction, never about a record's content.
	var broker *kerr.Error
	if errors.As(err, &broker) {
		return Retry
	}
	return Suspect
}
