package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"jobstrom/security"
)

// Prefix begins every token of ours, so that people and scanners of leaked secrets know it.
const Prefix = "js_"

// maxTokens and maxTokenFile bound a file of tokens.
const (
	maxTokens    = 10_000
	maxTokenFile = 8 << 20 // bytes
)

// ErrNoToken says that a file holds no token of that name.
var ErrNoToken = errors.New("no token of that name")

// Token is what a file keeps of a bearer token: what it may, and how to know it. The token itself is 256 random bits, so its plain SHA-256 cannot be turned back.
type Token struct {
	Name    string    `yaml:"name" json:"name"`
	SHA256  string    `yaml:"sha256" json:"sha256"` // hexadecimal
	Scopes  []Scope   `yaml:"scopes,flow" json:"scopes"`
	Created time.Time `yaml:"created" json:"created,omitzero"`
	// Expires is when it ends; zero is never.
	Expires time.Time `yaml:"expires,omitempty" json:"expires,omitzero"`
	// Rate is how many requests a second it may make, 0 any number; nil leaves that to the setting.
	Rate *float64 `yaml:"rate,omitempty" json:"rate,omitempty"`
}

// NewToken makes a token, with the secret to be shown once.
func NewToken(name string, scopes []Scope, created, expires time.Time) (Token, security.Secret) {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails, says its documentation
	secret := Prefix + base64.RawURLEncoding.EncodeToString(random)
	sum := sha256.Sum256([]byte(secret))
	return Token{Name: name, SHA256: hex.EncodeToString(sum[:]), Scopes: scopes, Created: created.UTC().Truncate(time.Second), Expires: expires.UTC().Truncate(time.Second)}, security.Secret(secret)
}

// Expired says whether it has ended.
func (t Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// Validate reports every violation.
func (t Token) Validate() error {
	var wrong []error
	if !tokenName.MatchString(t.Name) {
		wrong = append(wrong, fmt.Errorf("the name %.80q must be 1 to 64 letters, digits and . _ @ -, the first a letter or digit", t.Name))
	}
	if sum, err := hex.DecodeString(t.SHA256); err != nil || len(sum) != sha256.Size {
		wrong = append(wrong, errors.New("sha256 must be 64 hexadecimal digits, the SHA-256 of the token")) // it may be the token itself, by mistake
	}
	if len(t.Scopes) == 0 {
		wrong = append(wrong, fmt.Errorf("scopes are missing: some of %v", Scopes))
	}
	for _, s := range t.Scopes {
		if !slices.Contains(Scopes, s) {
			wrong = append(wrong, fmt.Errorf("the scope %.40q must be one of %v", string(s), Scopes))
		}
	}
	if t.Rate != nil && !(*t.Rate >= 0 && *t.Rate <= 1e6) {
		wrong = append(wrong, fmt.Errorf("rate (%g) must be 0 to 1000000 requests a second", *t.Rate))
	}
	return errors.Join(wrong...)
}

type tokenFile struct {
	Tokens []Token `yaml:"tokens" json:"tokens"`
}

// ReadTokens reads a file of tokens, YAML or JSON. A file that others may write to is refused: it says who is an admin here.
func ReadTokens(path string) ([]Token, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return nil, fmt.Errorf("reading tokens from %s: others than its owner may write to it (mode %04o): chmod 600 %s", path, mode, path)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading tokens from %s: %w", path, err)
	}
	tokens, err := parseTokens(content)
	if err != nil {
		return nil, fmt.Errorf("reading tokens from %s: %w", path, err)
	}
	return tokens, nil
}

// parseTokens reads the content of a file. JSON is YAML, too.
func parseTokens(content []byte) ([]Token, error) {
	if len(content) > maxTokenFile {
		return nil, fmt.Errorf("more than %d bytes", maxTokenFile)
	}
	var file tokenFile
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty: an empty list of tokens is tokens: []")
	} else if err != nil {
		return nil, withoutValues(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind the list of tokens")
	}
	if len(file.Tokens) > maxTokens {
		return nil, fmt.Errorf("%d tokens, at most %d are allowed", len(file.Tokens), maxTokens)
	}
	names, sums := map[string]bool{}, map[string]bool{}
	var wrong []error
	for i := range file.Tokens {
		t := &file.Tokens[i]
		t.SHA256 = strings.ToLower(t.SHA256)
		if err := t.Validate(); err != nil {
			wrong = append(wrong, fmt.Errorf("token %d: %w", i+1, err))
		} else if names[t.Name] || sums[t.SHA256] {
			wrong = append(wrong, fmt.Errorf("token %d: its name (%s) or its sha256 is that of another, too", i+1, t.Name))
		}
		names[t.Name], sums[t.SHA256] = true, true
	}
	return file.Tokens, errors.Join(wrong...)
}

// withoutValues says where the decoder stumbled without the value it stumbled over, which may be a token.
func withoutValues(err error) error {
	return errors.New(regexp.MustCompile("`[^`]*`").ReplaceAllString(err.Error(), "a value"))
}

// ChangeTokens replaces what a file holds at once, so that whoever reads meanwhile sees all of it or nothing of it. Changes wait for each other. A file that is absent is made.
func ChangeTokens(path string, change func([]Token) ([]Token, error)) error {
	lock, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("changing tokens: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("changing tokens: waiting for %s: %w", filepath.Dir(path), err)
	}
	tokens, err := ReadTokens(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if tokens, err = change(tokens); err != nil {
		return err
	}
	content, err := formatTokens(tokens, strings.EqualFold(filepath.Ext(path), ".json"))
	if err != nil {
		return fmt.Errorf("changing tokens: %w", err)
	}
	if _, err := parseTokens(content); err != nil { // what cannot be read again must not be written
		return fmt.Errorf("changing tokens: %w", err)
	}
	return replace(path, content)
}

func formatTokens(tokens []Token, asJSON bool) ([]byte, error) {
	file := tokenFile{append([]Token{}, tokens...)}
	if asJSON {
		content, err := json.MarshalIndent(file, "", "  ")
		return append(content, '\n'), err
	}
	content, err := yaml.Marshal(file)
	return append([]byte("# Who may use the API of jobstrom: jobstrom tokens new, list and revoke keep this. The tokens themselves are not here, only their SHA-256.\n"), content...), err
}

// replace writes a file beside path and renames it, following a link to where the file is.
func replace(path string, content []byte) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	part, err := os.CreateTemp(filepath.Dir(path), ".tokens-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing tokens: %w", err)
	}
	defer os.Remove(part.Name()) // fails once it was renamed
	_, err = part.Write(content)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return fmt.Errorf("writing tokens to %s: %w", path, err)
	}
	if err := os.Rename(part.Name(), path); err != nil {
		return fmt.Errorf("writing tokens: %w", err)
	}
	return nil
}
