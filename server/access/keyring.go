package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"log/slog"
	"os"
	"sync"
	"time"
)

// keyring holds the tokens of a file and follows it: each question looks whether the file has changed, which takes a microsecond, so that what is revoked ends at once.
// A file that is damaged or gone leaves the tokens of before in force.
type keyring struct {
	path string
	log  *slog.Logger
	// damaged is told whether the file cannot be read now.
	damaged func(error)

	mu     sync.Mutex // held while the file is looked at
	seen   os.FileInfo
	tokens []key
}

type key struct {
	Token
	sum [sha256.Size]byte
}

// openKeyring reads the file, which must be there and sound.
func openKeyring(path string, log *slog.Logger, damaged func(error)) (*keyring, error) {
	k := &keyring{path: path, log: log, damaged: damaged}
	seen, _ := os.Stat(path) // before it is read: what is written meanwhile is read again
	tokens, err := ReadTokens(path)
	if err != nil {
		return nil, err
	}
	k.set(seen, tokens)
	return k, nil
}

func (k *keyring) set(seen os.FileInfo, tokens []Token) {
	k.seen, k.tokens = seen, nil
	for _, t := range tokens {
		var sum [sha256.Size]byte
		_, _ = hex.Decode(sum[:], []byte(t.SHA256)) // validated
		k.tokens = append(k.tokens, key{t, sum})
	}
	if seen != nil && seen.Mode().Perm()&0o077 != 0 {
		k.log.Warn("the file of tokens can be read by others than its owner, who see its names and scopes: chmod 600", "file", k.path)
	}
}

// look returns the tokens of now.
func (k *keyring) look() []key {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, err := os.Stat(k.path)
	if err == nil && k.seen != nil && os.SameFile(now, k.seen) && now.ModTime().Equal(k.seen.ModTime()) && now.Size() == k.seen.Size() && now.Mode() == k.seen.Mode() {
		return k.tokens
	}
	if err != nil && k.seen == nil { // gone, and said so
		return k.tokens
	}
	tokens, err := ReadTokens(k.path)
	if err != nil {
		k.seen = now // said once for each state of the file
		k.log.Error("the file of tokens cannot be read, those of before stay in force", "error", err)
		k.damaged(err)
		return k.tokens
	}
	k.set(now, tokens)
	k.log.Info("the file of tokens was read again", "tokens", len(tokens))
	k.damaged(nil)
	return k.tokens
}

// find returns the token with this sum. Every one is compared, each in constant time, so that the time taken tells nothing of them.
func (k *keyring) find(sum [sha256.Size]byte) (Token, bool) {
	tokens := k.look()
	at := -1
	for i := range tokens {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(tokens[i].sum[:], sum[:]), i, at)
	}
	if at < 0 {
		return Token{}, false
	}
	return tokens[at].Token, true
}

// caller returns who has the token with this sum, or a refusal.
func (k *keyring) caller(sum [sha256.Size]byte, now time.Time) (Caller, *Refusal) {
	t, found := k.find(sum)
	switch {
	case !found:
		return Caller{}, invalid(reasonToken, "this token is not known here: it is wrong, or was revoked")
	case t.Expired(now):
		return Caller{}, invalid(reasonExpired, "this token has expired: ask for a new one")
	}
	return Caller{Name: t.Name, Scopes: t.Scopes, key: "token " + t.Name, rate: t.Rate}, nil
}
