// Package access says who asks over HTTP and what they may: bearer tokens from a file or of an OIDC issuer, sessions of the web pages, rate limits, and the headers and checks
// that protect a browser's user.
//
// A Guard wraps a handler: it finds the caller and refuses what nobody may do. What this caller may do, each route asks with Allow, so that a new route is closed until it says
// whom it serves: a caller nobody put into the context has no scopes.
package access
