package access

import (
	"crypto/rand"
	"net/http"
	"regexp"
)

// ContentSecurityPolicy lets a page load what this server has, and nothing run or be framed that it does not have. A page of a report that brings its own style sets another.
const ContentSecurityPolicy = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"

var saneID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID returns the id that came with the request, when it is one, or a new one.
func requestID(r *http.Request) string {
	if given := r.Header.Values("X-Request-Id"); len(given) == 1 && saneID.MatchString(given[0]) {
		return given[0]
	}
	return rand.Text()
}

// setHeaders sets what every answer has. Answers are not stored anywhere; what may be, like files of the pages, says so itself.
func setHeaders(h http.Header, r *http.Request, id string) {
	h.Set("X-Request-Id", id)
	h.Set("Content-Security-Policy", ContentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if r.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
