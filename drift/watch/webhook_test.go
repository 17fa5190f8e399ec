package watch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/schemas"
	"jobstrom/security"
)

// hook is somebody's webhook.
type hook struct {
	*httptest.Server
	t      *testing.T
	status int
	calls  int
	got    []*schemas.DriftEvent // what it took
}

func serveHook(t *testing.T) *hook {
	h := &hook{t: t, status: 200}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answer(status int) { h.status = status }

func (h *hook) webhook() *Webhook {
	return &Webhook{URL: security.Credential{Value: security.Secret(h.URL + "/services/s3cret?token=s3cret")}, Key: security.Credential{Value: "the key"}}
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.calls++
	body, err := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte("the key"))
	mac.Write(body)
	var e schemas.DriftEvent
	if err == nil {
		err = schemas.Decode(r.Header.Get("Content-Type"), body, &e)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.String() != "/services/s3cret?token=s3cret" ||
		r.Header.Get(HeaderSignature) != "sha256="+hex.EncodeToString(mac.Sum(nil)) || r.Header.Get(HeaderEvent) != e.Id {
		h.t.Errorf("called by %s %s with %v: %s, %v", r.Method, r.URL, r.Header, body, err)
	}
	if h.status == 302 {
		w.Header().Set("Location", "/elsewhere")
	}
	if h.status == 200 {
		h.got = append(h.got, &e)
	}
	w.WriteHeader(h.status)
}

func TestWebhook(t *testing.T) {
	h := serveHook(t)
	event := &schemas.DriftEvent{Id: "e", Kind: Raised, Column: "category", Changes: []*schemas.ShareChange{{Value: "Pædagogisk, socialt og kirkeligt arbejde", Reference: .1, Current: .2}}}
	f := func(hook *Webhook, want string) {
		t.Helper()
		err := hook.call(t.Context(), event)
		switch {
		case want == "" && err != nil:
			t.Error(err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret")):
			t.Errorf("got %v, want %q without what the address holds", err, want)
		}
	}
	f(nil, "")
	f(h.webhook(), "")
	if len(h.got) != 1 || h.got[0].Changes[0].Value != event.Changes[0].Value {
		t.Errorf("it took %v", h.got)
	}
	h.answer(302)
	f(h.webhook(), "302 Found") // not followed
	h.answer(500)
	f(h.webhook(), "it answered 500")
	away := h.webhook()
	h.Close()
	f(away, "connection refused")
	f(&Webhook{URL: security.Credential{Value: "ftp://s3cret@host/"}}, "must be an address of http or https")
	f(&Webhook{URL: security.Credential{Value: "http://%s3cret"}}, "must be an address of http or https")
	f(&Webhook{URL: security.Credential{File: "/nowhere"}}, "/nowhere")
	file := filepath.Join(t.TempDir(), "address")
	if err := os.WriteFile(file, []byte(h.URL+"/s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(&Webhook{URL: security.Credential{File: file}}, "connection refused")
	f(&Webhook{URL: security.Credential{File: file}, Key: security.Credential{File: "/nowhere"}}, "/nowhere")
	both := Webhook{URL: security.Credential{Value: "http://a", File: "b"}, Key: security.Credential{Value: "k", File: "f"}}
	if err := both.Validate(); err == nil || !strings.Contains(err.Error(), "drift-webhook and drift-webhook-file") || !strings.Contains(err.Error(), "drift-webhook-key and") {
		t.Errorf("got %v", err)
	}
}
