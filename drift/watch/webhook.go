package watch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"jobstrom/schemas"
	"jobstrom/security"
)

// Headers of a call.
const (
	// HeaderEvent holds the event's id: one that comes twice is the same event.
	HeaderEvent = "Idempotency-Key"
	// HeaderSignature holds "sha256=" and the hexadecimal HMAC-SHA256 of the body, where there is a key.
	HeaderSignature = "Jobstrom-Signature"
)

// callWithin bounds a call, answer included.
const callWithin = 10 * time.Second

// Webhook calls an address with each event, as JSON by POST. Any status of 200 to 299 takes it; redirects are not followed, because they would carry the event to
// another address than the one that was set.
type Webhook struct {
	// URL is a secret: what lies behind its host often lets anyone in.
	URL security.Credential
	// Key signs the calls; may be empty.
	Key security.Credential
}

// Validate reports a secret that is given twice.
func (h *Webhook) Validate() error {
	return errors.Join(h.URL.Validate("drift-webhook"), h.Key.Validate("drift-webhook-key"))
}

// Check says whether the secrets can be read and the address called. It shows neither.
func (h *Webhook) Check() error {
	address, err := h.URL.Read()
	if err == nil {
		err = validAddress(address)
	}
	_, unreadable := h.Key.Read()
	return errors.Join(err, unreadable)
}

func validAddress(address security.Secret) error {
	u, err := url.Parse(address.Reveal())
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("drift-webhook must be an address of http or https")
	}
	return nil
}

// call hands an event over; no webhook takes all. Its errors name the host at most.
func (h *Webhook) call(ctx context.Context, e *schemas.DriftEvent) error {
	if h == nil {
		return nil
	}
	address, err := h.URL.Read()
	if err != nil {
		return fmt.Errorf("calling the webhook: %w", err)
	}
	if err := validAddress(address); err != nil {
		return fmt.Errorf("calling the webhook: %w", err)
	}
	key, err := h.Key.Read()
	if err != nil {
		return fmt.Errorf("calling the webhook: %w", err)
	}
	body, err := schemas.Encode(schemas.JSON, e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.Reveal(), bytes.NewReader(body))
	if err != nil {
		return errors.New("calling the webhook: its address cannot be called")
	}
	request.Header.Set("Content-Type", schemas.JSON)
	request.Header.Set("User-Agent", "jobstrom")
	request.Header.Set(HeaderEvent, e.Id)
	if key != "" {
		mac := hmac.New(sha256.New, []byte(key.Reveal()))
		mac.Write(body)
		request.Header.Set(HeaderSignature, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		var whole *url.Error
		if errors.As(err, &whole) { // it quotes the address
			err = whole.Err
		}
		return fmt.Errorf("calling the webhook at %s: %w", request.URL.Host, err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("calling the webhook at %s: it answered %s", request.URL.Host, response.Status)
	}
	return nil
}
