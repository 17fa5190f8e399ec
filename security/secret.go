package security

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Secret is a password, a token or a key. Printed, logged or encoded it shows only whether it is set; Reveal returns what it is.
type Secret string

const hidden = "(hidden)"

// Reveal returns the secret itself, for the one place that hands it over.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format serves every verb: fmt would print a string's bytes for those it does not know.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is what slog shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what encoders of JSON and YAML show.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Credential is a secret given as such, or in a file that is read anew each time.
type Credential struct {
	Value Secret
	File  string
}

// IsZero reports that there is none.
func (c Credential) IsZero() bool { return c.Value == "" && c.File == "" }

// Validate reports a credential that is given twice; name is that of its setting.
func (c Credential) Validate(name string) error {
	if c.Value != "" && c.File != "" {
		return fmt.Errorf("%s and %s-file are both given: keep one", name, name)
	}
	return nil
}

// Read returns the secret. A file's last line end is not part of it.
func (c Credential) Read() (Secret, error) {
	if c.File == "" {
		return c.Value, nil
	}
	data, err := os.ReadFile(c.File)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err) // names the file
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if secret == "" {
		return "", fmt.Errorf("reading a secret: %s is empty", c.File)
	}
	return Secret(secret), nil
}
