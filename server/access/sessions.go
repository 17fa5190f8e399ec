package access

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxSessions bounds the sessions; who has not asked for longest has to log in again.
const maxSessions = 10_000

// sessions are those of the web pages, in memory: after a restart people log in again. What is kept is the hash of a session's id.
type sessions struct {
	lasts time.Duration
	open  *lru.Cache[[sha256.Size]byte, session]
}

type session struct {
	ends time.Time
	// token is the sum of the file's token, which is looked up each time, so that a session ends with its token.
	token *[sha256.Size]byte
	// caller is the issuer's; what it may do is fixed until the token ends.
	caller Caller
}

func newSessions(lasts time.Duration) *sessions {
	open, _ := lru.New[[sha256.Size]byte, session](maxSessions) // fails for sizes below 1 alone
	return &sessions{lasts, open}
}

// secure says whether the browser speaks TLS, with us or with a proxy in front. Who lies about it harms only the own session.
func secure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

// cookieName has the prefix that keeps other hosts of the domain and plain HTTP from setting the cookie, where a browser allows it.
func cookieName(r *http.Request) string {
	if secure(r) {
		return "__Host-jobstrom"
	}
	return "jobstrom"
}

// caller returns whose session a request belongs to.
func (s *sessions) caller(r *http.Request, now time.Time, k *keyring) (Caller, bool) {
	cookie, err := r.Cookie(cookieName(r))
	if err != nil {
		return Caller{}, false
	}
	id := sha256.Sum256([]byte(cookie.Value))
	found, ok := s.open.Get(id)
	if !ok {
		return Caller{}, false
	}
	caller := found.caller
	var refusal *Refusal
	if found.token != nil {
		caller, refusal = k.caller(*found.token, now)
	}
	if refusal != nil || !now.Before(found.ends) {
		s.open.Remove(id)
		return Caller{}, false
	}
	return caller, true
}

// LogIn opens a session with the scopes of a token and sets its cookie. What is wrong with the token is a *Refusal.
func (g *Guard) LogIn(w http.ResponseWriter, r *http.Request, token string) error {
	now := time.Now()
	token = strings.TrimSpace(token)
	opened := session{ends: now.Add(g.Session)}
	refusal := invalid(reasonToken, "nobody logs in here: tokens are not asked for")
	if g.Protected() {
		var expires time.Time
		opened.caller, expires, refusal = g.caller(r.Context(), token)
		if !expires.IsZero() && expires.Before(opened.ends) {
			opened.ends = expires
		}
		if g.keyring != nil && expires.IsZero() {
			sum := sha256.Sum256([]byte(token))
			opened.token = &sum
		}
	}
	if refusal != nil {
		g.count(RequestID(r.Context()), refusal)
		return refusal
	}
	g.end(r)
	id := rand.Text() + rand.Text() // 260 bits
	g.sessions.open.Add(sha256.Sum256([]byte(id)), opened)
	http.SetCookie(w, g.cookie(r, id, int(time.Until(opened.ends)/time.Second)))
	return nil
}

// LogOut ends the request's session, if it has one.
func (g *Guard) LogOut(w http.ResponseWriter, r *http.Request) {
	g.end(r)
	http.SetCookie(w, g.cookie(r, "", -1))
}

func (g *Guard) end(r *http.Request) {
	if before, err := r.Cookie(cookieName(r)); err == nil {
		g.sessions.open.Remove(sha256.Sum256([]byte(before.Value)))
	}
}

func (g *Guard) cookie(r *http.Request, id string, seconds int) *http.Cookie {
	return &http.Cookie{Name: cookieName(r), Value: id, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteStrictMode}
}
