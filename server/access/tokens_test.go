package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jobstrom/server/access"
	"jobstrom/telemetry/logtest"
)

func TestNewToken(t *testing.T) {
	now := time.Now()
	token, secret := access.NewToken("a", []access.Scope{access.Classify}, now, now.Add(time.Hour))
	if !regexp.MustCompile(`^js_[A-Za-z0-9_-]{43}$`).MatchString(secret.Reveal()) {
		t.Errorf("got %q", secret.Reveal())
	}
	if err := token.Validate(); err != nil {
		t.Error(err)
	}
	if again, other := access.NewToken("a", nil, now, now); other == secret || again.SHA256 == token.SHA256 {
		t.Error("two tokens are the same")
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", secret, token, token), secret.Reveal()) {
		t.Error("the token shows")
	}
	if token.Expired(now) || !token.Expired(now.Add(time.Hour)) {
		t.Error("it ends in an hour")
	}
}

// A file that is wrong is refused whole, with what is wrong where; a token that was put there by mistake is not said again.
func TestReadTokens(t *testing.T) {
	const secret = "js_ShO4EZq6qJe4N8RVYOTS882n6xRjoG9mUOQnzCIu24k"
	sum := strings.Repeat("0a", 32)
	good := "{name: a, sha256: " + sum + ", scopes: [classify]}"
	f := func(content string, tokens int, want ...string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := access.ReadTokens(path)
		if (err == nil) != (len(want) == 0) || err == nil && len(all) != tokens {
			t.Errorf("%.200s: %d tokens, %v", content, len(all), err)
			return
		}
		for _, w := range append(want, path)[:len(want)+min(1, len(want))] {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%.200s: got %v, want %q", content, err, w)
			}
		}
		if err != nil && strings.Contains(err.Error(), secret[10:]) {
			t.Errorf("the error shows a token: %v", err)
		}
	}
	f("tokens: []", 0)
	f("tokens: ["+good+"]", 1)
	f(`{"tokens": [{"name": "a", "sha256": "`+strings.ToUpper(sum)+`", "scopes": ["admin", "classify"], "created": "2026-11-27T20:00:00Z", "expires": "2027-11-27T20:00:00+01:00", "rate": 0.5}]}`, 1)
	f("", 0, "it is empty")
	f("# nothing\n", 0, "it is empty")
	f("tokens: [", 0, "yaml")
	f("tokens: []\n---\ntokens: []", 0, "something behind")
	f("token: []", 0, "field token not found")
	f("tokens: [{name: a, token: "+secret+", scopes: [admin]}]", 0, "field token not found")
	f("tokens: "+secret, 0, "cannot unmarshal")
	f("tokens: [{name: a, sha256: "+secret+", scopes: [classify]}]", 0, "token 1: sha256 must be 64 hexadecimal digits")
	f("tokens: ["+good+", {name: -a, scopes: [root], rate: -1}]", 0, `token 2: the name "-a"`, "sha256", `the scope "root"`, "rate (-1)")
	f("tokens: ["+good+", "+good+"]", 0, "token 2: its name (a) or its sha256 is that of another")
	f("tokens: ["+good+", {name: b, sha256: "+strings.ToUpper(sum)+", scopes: [classify]}]", 0, "token 2: its name (b) or its sha256")
	f("tokens: [{name: a, sha256: "+sum+"}]", 0, "token 1: scopes are missing")
	f("tokens: [{name: a, sha256: "+sum+", scopes: [classify], rate: .nan}]", 0, "rate (NaN)")
	f("tokens: [{name: a, sha256: "+sum+", scopes: [classify], expires: tomorrow}]", 0, "cannot")
	f(strings.Repeat("#", 8<<20+1), 0, "more than 8388608 bytes")
	var many strings.Builder
	many.WriteString("tokens:\n")
	for i := range 10_001 {
		fmt.Fprintf(&many, "- {name: a%d, sha256: %064x, scopes: [classify]}\n", i, i)
	}
	f(many.String(), 0, "10001 tokens, at most 10000")
	// An alias in an alias in an alias ... must not fill the memory.
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 10; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	f(bomb+"tokens: *a9", 0, "yaml")

	if _, err := access.New(t.Context(), access.Options{Tokens: "/nowhere/tokens"}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "jobstrom tokens new") {
		t.Errorf("got %v", err)
	}
	if _, err := access.ReadTokens(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
	open := filepath.Join(t.TempDir(), "open")
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o644: true} {
		var log logtest.Buffer
		if err := errors.Join(os.WriteFile(open, []byte("tokens: []"), 0o600), os.Chmod(open, mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := access.New(t.Context(), access.Options{Tokens: open, Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil || strings.Contains(log.String(), "can be read by others") != warned {
			t.Errorf("mode %o: %v, %s", mode, err, &log)
		}
		if err := os.Remove(open); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []os.FileMode{0o620, 0o602, 0o666} {
		if err := errors.Join(os.WriteFile(open, []byte("tokens: []"), 0o600), os.Chmod(open, mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := access.ReadTokens(open); err == nil || !strings.Contains(err.Error(), "chmod 600 "+open) {
			t.Errorf("mode %o: got %v", mode, err)
		}
	}
}

// Changes at once lose nothing, whoever reads meanwhile sees a whole file, and a change that is refused leaves it as it was.
func TestChangeTokens(t *testing.T) {
	for _, name := range []string{"tokens.yaml", "tokens.json"} {
		path := filepath.Join(t.TempDir(), name)
		issue(t, path, "first", time.Time{}, access.Admin)
		var group sync.WaitGroup
		stop := make(chan struct{})
		reading := make(chan error, 1)
		go func() {
			for {
				select {
				case <-stop:
					reading <- nil
					return
				default:
				}
				if all, err := access.ReadTokens(path); err != nil || len(all) == 0 {
					reading <- fmt.Errorf("%d tokens: %w", len(all), err)
					return
				}
			}
		}()
		for i := range 10 {
			group.Go(func() {
				token, _ := access.NewToken(fmt.Sprintf("t%02d", i), []access.Scope{access.Classify, access.Publish}, time.Now(), time.Now().Add(time.Hour))
				if err := access.ChangeTokens(path, func(all []access.Token) ([]access.Token, error) { return append(all, token), nil }); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		close(stop)
		if err := <-reading; err != nil {
			t.Error(err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		no := errors.New("no")
		if err := access.ChangeTokens(path, func([]access.Token) ([]access.Token, error) { return nil, no }); !errors.Is(err, no) {
			t.Errorf("got %v", err)
		}
		if err := access.ChangeTokens(path, func(all []access.Token) ([]access.Token, error) { return append(all, all[0]), nil }); err == nil || !strings.Contains(err.Error(), "is that of another") {
			t.Errorf("got %v", err)
		}
		after, err := os.ReadFile(path)
		if err != nil || string(after) != string(before) {
			t.Errorf("the file was changed: %v", err)
		}
		if strings.HasSuffix(name, ".json") != json.Valid(after) {
			t.Errorf("%s holds %.200s", name, after)
		}
		all, err := access.ReadTokens(path)
		if err != nil || len(all) != 11 || all[0].Name != "first" || !all[0].Expires.IsZero() || !slices.Equal(all[1].Scopes, []access.Scope{access.Classify, access.Publish}) || all[1].Expires.IsZero() || all[1].Created.IsZero() {
			t.Fatalf("%v: %+v", err, all)
		}
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(entries) != 1 {
			t.Errorf("%d files are left: %v", len(entries), err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		// A link stays one.
		link := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		if err := access.ChangeTokens(link, func(all []access.Token) ([]access.Token, error) { return all[:1], nil }); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the link is gone: %v", err)
		}
		if all, err := access.ReadTokens(path); err != nil || len(all) != 1 {
			t.Errorf("%d tokens: %v", len(all), err)
		}
	}
	if err := access.ChangeTokens("/nowhere/tokens", func(all []access.Token) ([]access.Token, error) { return all, nil }); err == nil {
		t.Error("a file in no folder was written")
	}
}
