package access

import (
	"net/http"
	"strings"
	"testing"
)

// Whatever stands in the header Authorization is a token in the characters that RFC 6750 allows, or refused; never both, never neither.
func FuzzAuthorization(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer ", "Bearer a", "bearer  a ", "Bearer a b", "Bearer\ta", "Basic dTpw", "Bearer =", "Bearer a==", "Bearer a=b", "Bearer \x00", "Bearer ø", "Bearer a,b", "BearerX a", " Bearer a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, given, refusal := bearer(http.Header{"Authorization": {value}})
		if !given || (refusal == nil) == (token == "") {
			t.Fatalf("%q: %q, %v, %v", value, token, given, refusal)
		}
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",;:\`, r) }) || len(token) > maxBearer || !strings.Contains(value, token) {
			t.Fatalf("%q: %q", value, token)
		}
		if refusal != nil && (refusal.Status != http.StatusUnauthorized || len(value) > 20 && strings.Contains(refusal.Detail, value)) {
			t.Fatalf("%q: %+v", value, refusal)
		}
		if _, given, refusal := bearer(http.Header{"Authorization": {value, value}}); !given || refusal == nil {
			t.Fatalf("%q given twice was taken", value)
		}
	})
}

// A file of tokens is read or refused, and what was read is written so that it reads the same.
func FuzzTokens(f *testing.F) {
	f.Add([]byte("tokens: []"))
	f.Add([]byte("tokens:\n- {name: a, sha256: " + strings.Repeat("0a", 32) + ", scopes: [classify, admin], expires: 2027-01-01T00:00:00Z, rate: 1.5}"))
	f.Add([]byte(`{"tokens": [{"name": "a", "created": "2026-01-01T00:00:00+02:00"}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		tokens, err := parseTokens(content)
		if err != nil {
			return
		}
		for _, asJSON := range []bool{false, true} {
			written, err := formatTokens(tokens, asJSON)
			if err != nil {
				t.Fatal(err)
			}
			again, err := parseTokens(written)
			if err != nil || len(again) != len(tokens) {
				t.Fatalf("%v: %s", err, written)
			}
			for i := range again {
				if a, b := again[i], tokens[i]; a.Name != b.Name || a.SHA256 != b.SHA256 || !a.Expires.Equal(b.Expires) || len(a.Scopes) != len(b.Scopes) || (a.Rate == nil) != (b.Rate == nil) {
					t.Fatalf("got %+v, want %+v", a, b)
				}
			}
		}
	})
}
