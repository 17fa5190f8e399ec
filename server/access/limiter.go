package access

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxCallers bounds the callers whose rates are counted; the one that has not asked for longest is forgotten, and begins anew.
const maxCallers = 10_000

// limiter counts the requests of each caller in a token bucket.
type limiter struct {
	rate    float64
	burst   int
	buckets *lru.Cache[string, *rate.Limiter]
}

func newLimiter(perSecond float64, burst int) *limiter {
	buckets, _ := lru.New[string, *rate.Limiter](maxCallers) // fails for sizes below 1 alone
	return &limiter{perSecond, burst, buckets}
}

// take counts a request, or says when to come again. Files of the pages are free.
func (l *limiter) take(c Caller, r *http.Request) *Refusal {
	perSecond := l.rate
	if c.rate != nil {
		perSecond = *c.rate
	}
	if perSecond == 0 || strings.HasPrefix(r.URL.Path, "/static/") {
		return nil
	}
	key := c.key
	if key == "" {
		key = "address " + network(r.RemoteAddr)
	}
	burst := l.burst
	if burst == 0 {
		burst = max(1, int(2*perSecond))
	}
	bucket, ok := l.buckets.Get(key)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(perSecond), burst)
		if before, found, _ := l.buckets.PeekOrAdd(key, bucket); found {
			bucket = before
		}
	}
	if bucket.Limit() != rate.Limit(perSecond) { // the file of tokens was changed
		bucket.SetLimit(rate.Limit(perSecond))
		bucket.SetBurst(burst)
	}
	now := time.Now()
	reservation := bucket.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	reservation.CancelAt(now)
	return &Refusal{Status: http.StatusTooManyRequests, reason: reasonRate, RetryAfter: wait,
		Detail: fmt.Sprintf("more than %g requests a second (and %d at once): wait as long as Retry-After says", perSecond, burst)}
}

// network returns what is counted as one address: of IPv6 the first 64 bits, since the rest is the holder's to choose.
func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		prefix, _ := address.Prefix(64) // has as many bits
		return prefix.String()
	}
	return address.String()
}
