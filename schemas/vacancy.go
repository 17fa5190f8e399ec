package schemas

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Limits of a vacancy. A text beyond its limit is refused, not cut: a page of that size is not one vacancy.
const (
	MaxText  = 1_000_000 // bytes
	MaxTitle = 1_000     // bytes, of the title and the employer
	MaxID    = 200       // bytes
)

// vacancySpace is the UUID name space of ids made from content (RFC 9562, version 5).
var vacancySpace = uuid.MustParse("7f3c6bb2-5a0e-4d3c-9f55-6a6f62737472")

// DecodeVacancy reads a vacancy in either encoding, checks it and gives it an id when it has none.
// Every error wraps ErrMalformed.
func DecodeVacancy(contentType string, value []byte) (*Vacancy, error) {
	v := &Vacancy{}
	if err := Decode(contentType, value, v); err != nil {
		return nil, err
	}
	if err := v.Normalize(); err != nil {
		return nil, err
	}
	return v, nil
}

// Normalize checks a vacancy and fills its id. It reports every violation at once.
func (v *Vacancy) Normalize() error {
	var wrong []string
	bound := func(name, value string, limit int) {
		if len(value) > limit {
			wrong = append(wrong, fmt.Sprintf("%s has %d bytes, the limit is %d", name, len(value), limit))
		}
		if !utf8.ValidString(value) {
			wrong = append(wrong, name+" is not UTF-8")
		}
	}
	if strings.TrimSpace(v.Text) == "" {
		wrong = append(wrong, "text is missing or empty")
	}
	bound("text", v.Text, MaxText)
	bound("title", v.Title, MaxTitle)
	bound("employer", v.Employer, MaxTitle)
	bound("id", v.Id, MaxID)
	bound("source", v.Source, MaxID)
	if v.PublishedAt != nil && !v.PublishedAt.IsValid() {
		wrong = append(wrong, "published_at is not a time")
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w vacancy: %s", ErrMalformed, strings.Join(wrong, "; "))
	}
	if v.Id == "" {
		v.Id = ContentID(v)
	}
	return nil
}

// ContentID makes an id from what a vacancy says, so that the same vacancy published twice has the same id.
func ContentID(v *Vacancy) string {
	hash := sha256.New()
	for _, s := range []string{v.Title, v.Employer, v.Source, v.Text} {
		fmt.Fprintf(hash, "%d:%s", len(s), s)
	}
	if v.PublishedAt != nil {
		fmt.Fprint(hash, v.PublishedAt.AsTime().UnixNano())
	}
	return uuid.NewSHA1(vacancySpace, hash.Sum(nil)).String()
}

// Time makes a message's time; the zero time becomes none.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t.UTC())
}
