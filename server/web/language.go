package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container has no time zones
)

//go:embed messages/*.json
var messageFiles embed.FS

// languages are the first, which is the default, and the others.
func languages() []string { return []string{"da", "en"} }

// languageCookie remembers who chose another language than the default.
const languageCookie = "sprog"

// Language writes texts, numbers and times.
type Language struct {
	Code     string
	messages map[string]string
	form     form
	zone     *time.Location
}

// newLanguage reads a language's messages.
func newLanguage(code string) (*Language, error) {
	data, err := messageFiles.ReadFile("messages/" + code + ".json")
	if err != nil {
		return nil, fmt.Errorf("reading messages: %w", err)
	}
	l := &Language{Code: code, form: forms(code)}
	if err := json.Unmarshal(data, &l.messages); err != nil {
		return nil, fmt.Errorf("reading messages of %s: %w", code, err)
	}
	if l.zone, err = time.LoadLocation("Europe/Copenhagen"); err != nil {
		return nil, fmt.Errorf("reading time zones: %w", err)
	}
	return l, nil
}

// Text returns a message with its places {0}, {1}, … filled.
func (l *Language) Text(key string, args ...any) string {
	text, known := l.messages[key]
	if !known {
		return key
	}
	var places []string
	for i, arg := range args {
		places = append(places, "{"+strconv.Itoa(i)+"}", fmt.Sprint(arg))
	}
	return strings.NewReplacer(places...).Replace(text)
}

// Many is Text of key.one or key.many, with n in place {0}.
func (l *Language) Many(key string, n any, args ...any) string {
	args = append([]any{l.Whole(n)}, args...)
	if args[0] == "1" {
		return l.Text(key+".one", args...)
	}
	return l.Text(key+".many", args...)
}

// Named returns the name that people know a thing of the program by, group.name, or the thing's own where there is none.
func (l *Language) Named(group, name string) string {
	if text, known := l.messages[group+"."+name]; known {
		return text
	}
	return name
}

// parseDay reads the value of a date field. A missing one is the zero time.
func (l *Language) parseDay(value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, value, l.zone)
	if err != nil {
		return time.Time{}, badRequest("error.date")
	}
	return t, nil
}

// chosen returns the code of the language of a request: what its address asks for, else what was remembered, else Danish. Asked says that the address did.
func chosen(r *http.Request) (code string, asked bool) {
	if code := r.URL.Query().Get(languageCookie); slices.Contains(languages(), code) {
		return code, true
	}
	if remembered, err := r.Cookie(languageCookie); err == nil && slices.Contains(languages(), remembered.Value) {
		return remembered.Value, false
	}
	return languages()[0], false
}

// choose returns the same, and has what the address asks for remembered.
func choose(w http.ResponseWriter, r *http.Request) string {
	code, asked := chosen(r)
	if asked {
		http.SetCookie(w, &http.Cookie{
			Name: languageCookie, Value: code, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
		})
	}
	return code
}

// switched returns the address of this page in the other language, and that language.
func switched(r *http.Request, code string) (address, other string) {
	other = languages()[0]
	if code == other {
		other = languages()[1]
	}
	query, path := r.URL.Query(), r.URL.EscapedPath()
	if r.Method == http.MethodPost { // what a form answered has no address: go back to the form's page
		first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		query, path = url.Values{}, destinationOf("/"+first)
	}
	query.Set(languageCookie, other)
	return path + "?" + query.Encode(), other
}
