package embedded

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// gate stands before the engine's native port, because the engine, made for a single user at a terminal, ends itself
// when a connection fails outside a query: at a wrong password, an unknown database, a greeting that is cut off or no
// greeting at all, or a client that was killed while idle. Its HTTP interface survives all of that.
//
// So the gate reads a client's greeting whole, has the HTTP interface check the same user, password and database, and
// only then connects the client, byte for byte; a client that is refused gets the engine's own exception. And it ends
// connections to the engine in order (FIN, never RST), however the client ended.
type gate struct {
	listener net.Listener
	native   string // the engine's addresses
	http     string
	client   http.Client

	mu      sync.Mutex // guards the two below
	closed  bool
	engines map[*net.TCPConn]bool
}

const (
	greetingTimeout = 10 * time.Second
	greetingLimit   = 64 << 10 // bytes of one string
)

func newGate(listener net.Listener, native, httpAddr string) *gate {
	g := &gate{
		listener: listener, native: native, http: httpAddr, engines: make(map[*net.TCPConn]bool),
		// A connection kept alive would make the engine's stop wait.
		client: http.Client{Timeout: greetingTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	go g.accept() // ends with close
	return g
}

func (g *gate) accept() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return
		}
		go g.serve(conn.(*net.TCPConn)) // ends with the client or the engine
	}
}

// close takes no more clients and ends those that are connected, so that the engine need not wait for them.
func (g *gate) close() {
	g.listener.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for engine := range g.engines {
		engine.CloseWrite()
	}
}

// hold remembers the connection for close; it reports false when the gate is closed already.
func (g *gate) hold(engine *net.TCPConn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.engines[engine] = true
	}
	return !g.closed
}

func (g *gate) release(engine *net.TCPConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.engines, engine)
}

func (g *gate) serve(client *net.TCPConn) {
	defer client.Close()
	client.SetDeadline(time.Now().Add(greetingTimeout))
	var read bytes.Buffer // the greeting, and what the client may have sent after it
	greeting, err := readGreeting(bufio.NewReader(io.TeeReader(client, &read)))
	if err != nil {
		if first := read.Bytes(); len(first) > 0 && strings.ContainsRune("GPHDO", rune(first[0])) { // GET, POST, …
			_, port, _ := net.SplitHostPort(g.http)
			fmt.Fprintf(client, "HTTP/1.0 400 Bad Request\r\n\r\nThis port is for ClickHouse's native protocol. You must use port %s for HTTP.\r\n", port)
		}
		return
	}
	refusal, err := g.check(client, greeting)
	if err != nil {
		return // the engine is starting or stopping
	}
	if refusal != nil {
		client.Write(refusal)
		return
	}
	conn, err := net.Dial("tcp", g.native)
	if err != nil {
		return
	}
	engine := conn.(*net.TCPConn)
	defer engine.Close()
	if !g.hold(engine) {
		return
	}
	defer g.release(engine)
	client.SetDeadline(time.Time{})
	if _, err := engine.Write(read.Bytes()); err != nil {
		return
	}
	go func() { // ends when the client does, or at the close above
		io.Copy(engine, client)
		engine.CloseWrite()
	}()
	io.Copy(client, engine)
	// The client may be gone while the engine writes: closing with unread data would send the reset that must not be.
	engine.CloseWrite()
	io.Copy(io.Discard, engine)
}

// greeting is the first packet of the native protocol.
type greeting struct{ database, user, password string }

func readGreeting(r *bufio.Reader) (greeting, error) {
	var g greeting
	kind, err := binary.ReadUvarint(r)
	if err != nil {
		return g, err
	}
	if kind != 0 {
		return g, fmt.Errorf("packet %d, want 0", kind)
	}
	if _, err := readString(r); err != nil { // the client's name
		return g, err
	}
	for range 3 { // major and minor version, revision of the protocol
		if _, err := binary.ReadUvarint(r); err != nil {
			return g, err
		}
	}
	for _, s := range []*string{&g.database, &g.user, &g.password} {
		if *s, err = readString(r); err != nil {
			return g, err
		}
	}
	return g, nil
}

func readString(r *bufio.Reader) (string, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return "", err
	}
	if n > greetingLimit {
		return "", fmt.Errorf("string of %d bytes, limit %d", n, greetingLimit)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// Codes of the engine's exceptions. By HTTP it calls a wrong password a required one, so that browsers ask for it.
const (
	requiredPassword     = 194
	authenticationFailed = 516
)

// check asks the engine by HTTP what it thinks of the greeting and returns the exception to send, if any.
func (g *gate) check(client *net.TCPConn, c greeting) ([]byte, error) {
	if c.user == "" {
		c.user = "default"
	}
	// The engine sees the gate's address, so the gate keeps default to this machine, as users.xml does.
	if c.user == "default" && !client.RemoteAddr().(*net.TCPAddr).IP.IsLoopback() {
		return exception(authenticationFailed, "DB::Exception: the user default may only connect from the engine's own machine; use the user viewer"), nil
	}
	query := url.Values{"query": {"SELECT 1"}}
	if c.database != "" {
		query.Set("database", c.database)
	}
	request, err := http.NewRequest(http.MethodGet, "http://"+g.http+"/?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-ClickHouse-User", c.user)
	request.Header.Set("X-ClickHouse-Key", c.password)
	response, err := g.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode == http.StatusOK {
		return nil, err
	}
	code, err := strconv.Atoi(response.Header.Get("X-ClickHouse-Exception-Code"))
	if err != nil {
		return nil, fmt.Errorf("answer %s without an exception code", response.Status)
	}
	message, _, _ := strings.Cut(string(body), "\n") // the rest is advice for other installations
	message = strings.TrimPrefix(message, fmt.Sprintf("Code: %d. ", code))
	if code == requiredPassword {
		code = authenticationFailed
	}
	return exception(code, message), nil
}

// exception encodes the packet Exception of the native protocol: code, name, message, stack trace, has nested.
func exception(code int, message string) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{2}, uint32(code))
	for _, s := range []string{"DB::Exception", message, ""} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return append(b, 0)
}
