package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"jobstrom/pipeline/extract"
)

// used returns the keys of messages that templates and programs name, and the groups whose names come from data.
func used(t *testing.T) (keys, groups map[string]bool) {
	t.Helper()
	keys, groups = map[string]bool{}, map[string]bool{}
	find := func(pattern, text string, into map[string]bool, suffixes ...string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			for _, suffix := range append(suffixes, "")[:max(len(suffixes), 1)] {
				into[m[1]+suffix] = true
			}
		}
	}
	for _, glob := range []string{"templates/*.html", "templates/shared/*.html"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", glob, err)
		}
		for _, file := range files {
			text := read(t, file)
			find(`\bt "([a-z0-9_.]+)"`, text, keys)
			find(`\bmany "([a-z0-9_.]+)"`, text, keys, ".one", ".many")
			find(`\bnamed "([a-z0-9_.]+)"`, text, groups)
			find(`\(print "([a-z0-9_]+)\." `, text, groups)
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			find(`"((?:error|chart|upload)\.[a-z]+)"`, read(t, file), keys)
			find(`Named\("([a-z]+)"`, read(t, file), groups)
		}
	}
	return keys, groups
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Every message is used, every message used is there, and both languages have the same ones with the same places.
func TestMessages(t *testing.T) {
	da, en := language(t, "da"), language(t, "en")
	keys, groups := used(t)
	for key := range keys {
		if da.messages[key] == "" || en.messages[key] == "" {
			t.Errorf("message %s is used but missing", key)
		}
	}
	places := regexp.MustCompile(`\{\d\}`)
	for key, text := range da.messages {
		inGroup := false
		for group := range groups {
			inGroup = inGroup || strings.HasPrefix(key, group+".")
		}
		if !keys[key] && !inGroup {
			t.Errorf("message %s is not used", key)
		}
		other, there := en.messages[key]
		if !there {
			t.Errorf("message %s is not there in English", key)
		}
		if a, b := places.FindAllString(text, -1), places.FindAllString(other, -1); len(a) != len(b) && !strings.HasSuffix(key, ".one") {
			t.Errorf("message %s has the places %v in Danish and %v in English", key, a, b)
		}
	}
	for key := range en.messages {
		if _, there := da.messages[key]; !there {
			t.Errorf("message %s is not there in Danish", key)
		}
	}
	for _, kind := range []extract.Kind{extract.CPR, extract.Email, extract.URL, extract.Phone, extract.Address, extract.Name} {
		if da.Named("kind", string(kind)) == string(kind) {
			t.Errorf("personal data of kind %s has no name", kind)
		}
	}
	for _, status := range []string{"400", "401", "403", "404", "405", "409", "413", "422", "429", "500", "503"} {
		if da.messages["error."+status+".title"] == "" || da.messages["error."+status+".text"] == "" {
			t.Errorf("status %s has no page", status)
		}
	}
}

func TestLanguageOfARequest(t *testing.T) {
	f := func(address, cookie, want string, remembered bool) {
		t.Helper()
		r := httptest.NewRequest("GET", address, nil)
		r.Header.Set("Accept-Language", "en-GB,en;q=0.9") // a Danish office's browser may be English: the pages are Danish until somebody asks
		if cookie != "" {
			r.AddCookie(&http.Cookie{Name: languageCookie, Value: cookie})
		}
		w := httptest.NewRecorder()
		if got := choose(w, r); got != want || (w.Header().Get("Set-Cookie") != "") != remembered {
			t.Errorf("%s with cookie %q: %s, cookies %v", address, cookie, got, w.Header().Values("Set-Cookie"))
		}
	}
	f("/", "", "da", false)
	f("/?sprog=en", "", "en", true)
	f("/", "en", "en", false)
	f("/?sprog=da", "en", "da", true)
	f("/?sprog=xx", "yy", "da", false)
}

// A page that needs the language before it is shown has it remembered once.
func TestLanguageIsRememberedOnce(t *testing.T) {
	site := serve(t, newWorld(t).sources(), openDoor())
	response, err := http.Get(site + "/drift?sprog=en")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if cookies := response.Header.Values("Set-Cookie"); response.StatusCode != http.StatusOK || len(cookies) != 1 {
		t.Errorf("%s, cookies %v", response.Status, cookies)
	}
}

func TestTextFillsPlaces(t *testing.T) {
	da := language(t, "da")
	if got := da.Text("result.said", "It {1}", "93 %"); got != "Kategori: It {1}. Sikkerhed: 93 %." {
		t.Errorf("got %q", got)
	}
	if got := da.Many("search.found", 1) + da.Many("search.found", 1200); got != "Ét opslag1.200 opslag" {
		t.Errorf("got %q", got)
	}
}
