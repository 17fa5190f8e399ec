package access

import (
	"net/http"
	"slices"
)

// origins decides which pages a browser may ask from, and by which names.
type origins struct {
	allowed []string
	// any says that every Host will do; else hosts and loopback ones do.
	any   bool
	hosts []string
	// browsers says what a page may do without a token: of the same origin anything, of an allowed one only where tokens are not asked for.
	browsers *http.CrossOriginProtection
}

func newOrigins(o Options) (*origins, error) {
	g := &origins{allowed: o.Origins, browsers: http.NewCrossOriginProtection()}
	protected := o.Tokens != "" || o.OIDC.Issuer != ""
	if !protected {
		for _, origin := range o.Origins {
			if err := g.browsers.AddTrustedOrigin(origin); err != nil {
				return nil, err
			}
		}
	}
	for _, host := range o.Hosts {
		g.hosts = append(g.hosts, hostOf(host))
	}
	g.any = len(o.Hosts) == 0 && (protected || o.Open)
	if host := hostOf(o.Address); host != "" {
		g.hosts = append(g.hosts, host)
	}
	return g, nil
}

// host refuses what is asked by a name that is not the server's: a page may have had its own name point here (DNS rebinding), and is of the same origin for the browser then.
func (g *origins) host(r *http.Request) *Refusal {
	host := hostOf(r.Host)
	if g.any || isLoopback(host) || slices.Contains(g.hosts, host) {
		return nil
	}
	return &Refusal{Status: http.StatusForbidden, reason: reasonHost, Detail: "this server is not asked by that name: the header Host must be a loopback name or address, or one of --http-hosts"}
}

// cors tells a browser what pages of others may do. Done says that the request was a preflight, which is answered.
func (g *origins) cors(w http.ResponseWriter, r *http.Request) (done bool, refusal *Refusal) {
	origin := r.Header.Get("Origin")
	preflight := r.Method == http.MethodOptions && origin != "" && r.Header.Get("Access-Control-Request-Method") != ""
	if len(g.allowed) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	if !slices.Contains(g.allowed, origin) {
		if preflight {
			return false, &Refusal{Status: http.StatusForbidden, reason: reasonOrigin, Detail: "pages of this origin may not ask here: --cors-origins lists those that may"}
		}
		return false, nil
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Location, Retry-After, WWW-Authenticate, X-Request-Id")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if preflight {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, X-Request-Id")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	}
	return preflight, nil
}

// crossSite refuses what a page of somebody else's makes a browser do with the user's session, or with the user's place in the network. A token cannot be sent so.
func (g *origins) crossSite(r *http.Request, bearer bool) *Refusal {
	if !bearer && g.browsers.Check(r) != nil {
		return &Refusal{Status: http.StatusForbidden, reason: reasonOrigin, Detail: "a browser sent this from a page of another site, which may not do so in its user's name, but only with a token"}
	}
	return nil
}
