package api_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// description is what the tests read of the OpenAPI document.
type description struct {
	OpenAPI string                          `json:"openapi" yaml:"openapi"`
	Paths   map[string]map[string]operation `json:"paths" yaml:"paths"`
}

type operation struct {
	ID        string                `json:"operationId" yaml:"operationId"`
	Summary   string                `json:"summary" yaml:"summary"`
	Security  []map[string][]string `json:"security" yaml:"security"`
	Responses map[string]any        `json:"responses" yaml:"responses"`
}

func document(t *testing.T, s *site) description {
	t.Helper()
	_, text := s.ask("GET", "/openapi.json", "", 200, `"openapi": "3.1.0"`)
	var d description
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDescription(t *testing.T) {
	s := serve(t, nil)
	response, text := s.ask("GET", "/openapi.json", "", 200, `"openapi": "3.1.0"`)
	if kind := response.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("the content type is %s", kind)
	}
	golden(t, "openapi.json", []byte(text+"\n"))
	asJSON, asYAML := document(t, s), description{}
	_, text = s.ask("GET", "/openapi.yaml", "", 200, `openapi: 3.1.0`)
	if err := yaml.Unmarshal([]byte(text), &asYAML); err != nil {
		t.Fatal(err)
	}
	if len(asYAML.Paths) != len(asJSON.Paths) || len(asJSON.Paths) == 0 {
		t.Errorf("YAML describes %d paths, JSON %d", len(asYAML.Paths), len(asJSON.Paths))
	}
	_, page := s.ask("GET", "/docs", "", 200, `<!doctype html>`)
	for path, methods := range asJSON.Paths {
		for method, op := range methods {
			if op.ID == "" || op.Summary == "" || len(op.Responses) == 0 || path != "/" && len(op.Security) != 1 {
				t.Errorf("%s %s is not described: %+v", method, path, op)
			}
			if !strings.Contains(page, `<section id="`+op.ID+`"`) {
				t.Errorf("the page lacks %s %s", method, path)
			}
		}
	}
}

// The page needs nothing from elsewhere and nothing that the content security policy forbids.
func TestDocumentationPage(t *testing.T) {
	s := serve(t, nil)
	response, page := s.ask("GET", "/docs", "", 200, `<title>The API of jobstrom</title>`)
	if policy := response.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	for _, wrong := range []string{` style=`, ` on[a-z]+=`, `<style`, `<script>`, `(src|href)="(https?:)?//`} {
		if found := regexp.MustCompile(wrong).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
	ids := regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1)
	var known []string
	for _, id := range ids {
		if slices.Contains(known, id[1]) {
			t.Errorf("the page has %s twice", id[1])
		}
		known = append(known, id[1])
	}
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !slices.Contains(known, link[1]) {
			t.Errorf("a link leads to #%s, which is not there", link[1])
		}
	}
	files := regexp.MustCompile(`"(/docs/[a-z.]+)"`).FindAllStringSubmatch(page, -1)
	if len(files) != 2 {
		t.Errorf("the page loads %v", files)
	}
	for _, file := range files {
		s.ask("GET", file[1], "", 200, `.`)
	}
	// The kinds of problems that answers name are explained.
	_, problem := s.ask("GET", "/nothing", "", 404, `.`)
	if kind := regexp.MustCompile(`/docs#([a-z-]+)`).FindStringSubmatch(problem); kind == nil || !slices.Contains(known, kind[1]) {
		t.Errorf("the page does not explain %s", problem)
	}
}
