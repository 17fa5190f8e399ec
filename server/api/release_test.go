package api_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// breakingAPI lists what of an earlier description a client of it could not go by any more: an operation, a status, a field of an answer or one of a request that is gone or of another type,
// and what a request must hold that it need not have held.
func breakingAPI(path string, older, newer any) (found []string) {
	switch was := older.(type) {
	case map[string]any:
		now, same := newer.(map[string]any)
		if !same {
			return []string{path + " is gone"}
		}
		for key, value := range was {
			switch at := path + "/" + key; key {
			case "description", "summary", "title", "example", "examples", "version", "tags", "operationId", "info", "default", "maxLength", "minimum", "maximum":
			case "required":
				if before, list := value.([]any); list && strings.Contains(path, "schemas") {
					for _, name := range asList(now[key]) {
						if !slices.Contains(before, name) {
							found = append(found, fmt.Sprintf("%s: %v must be given now", path, name))
						}
					}
				}
			case "enum":
				for _, allowed := range asList(value) {
					if now[key] != nil && !slices.Contains(asList(now[key]), allowed) {
						found = append(found, fmt.Sprintf("%s: %v is gone", at, allowed))
					}
				}
			default:
				found = append(found, breakingAPI(at, value, now[key])...)
			}
		}
		if newlyRequired := asList(now["required"]); was["required"] == nil && was["properties"] != nil && len(newlyRequired) > 0 {
			found = append(found, fmt.Sprintf("%s: %v must be given now", path, newlyRequired))
		}
	case []any:
		now := asList(newer)
		for i, value := range was {
			at := i
			if name := nameOf(value); name != "" { // of a parameter, wherever it stands
				at = slices.IndexFunc(now, func(other any) bool { return nameOf(other) == name })
			}
			if at < 0 || at >= len(now) {
				found = append(found, fmt.Sprintf("%s/%d %s is gone", path, i, nameOf(value)))
				continue
			}
			found = append(found, breakingAPI(fmt.Sprintf("%s/%d", path, i), value, now[at])...)
		}
	default:
		if older != newer {
			found = append(found, fmt.Sprintf("%s is %v, was %v", path, newer, older))
		}
	}
	slices.Sort(found)
	return found
}

func nameOf(v any) string {
	named, _ := v.(map[string]any)
	name, _ := named["name"].(string)
	return name
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

func descriptionIn(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAPIOfReleasesStays(t *testing.T) {
	files, err := filepath.Glob("testdata/openapi-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no release's description is there: %v", err)
	}
	now := descriptionIn(t, "testdata/openapi.json") // which TestDescription compares with what is served
	for _, file := range files {
		for _, broken := range breakingAPI("", descriptionIn(t, file), now) {
			t.Errorf("%s: %s", file, broken)
		}
	}
}

func TestBreakingAPI(t *testing.T) {
	const released = `{"paths":{"/v1/x":{"post":{"parameters":[{"name":"p"},{"name":"q","in":"query"}],"responses":{"200":{"content":{}}}}}},"components":{"schemas":{"A":{"type":"object","required":["a"],"properties":{"a":{"type":"string","description":"x"},"b":{"type":"number","enum":[1,2]}}},"B":{"properties":{"c":{"type":"string"}}}}}}`
	f := func(from, to, want string) {
		t.Helper()
		if !strings.Contains(released, from) {
			t.Fatalf("%q is not there to be changed", from)
		}
		var older, newer any
		if err := json.Unmarshal([]byte(released), &older); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(strings.Replace(released, from, to, 1)), &newer); err != nil {
			t.Fatal(err)
		}
		found := strings.Join(breakingAPI("", older, newer), "\n")
		if want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%s to %s: found %q, want %q", from, to, found, want)
		}
	}
	f(`"description":"x"`, `"description":"y"`, "")
	f(`"properties":{"a"`, `"properties":{"new":{"type":"string"},"a"`, "")
	f(`"/v1/x":`, `"/v1/y":{},"/v1/x":`, "")
	f(`[1,2]`, `[1,2,3]`, "")
	f(`"required":["a"],`, ``, "")
	f(`"/v1/x":`, `"/v1/y":`, "/paths//v1/x is")
	f(`"post":`, `"put":`, "/post is")
	f(`[{"name":"p"},`, `[{"name":"new"},`, "parameters/0 p is gone")
	f(`[{"name":"p"},`, `[{"name":"new"},{"name":"p"},`, "")
	f(`"in":"query"`, `"in":"header"`, "in is header, was query")
	f(`"200":`, `"201":`, "/200 is")
	f(`"a":{"type":"string"`, `"a":{"type":"integer"`, "type is integer, was string")
	f(`"b":`, `"d":`, "properties/b is")
	f(`["a"]`, `["a","b"]`, "b must be given now")
	f(`"B":{`, `"B":{"required":["c"],`, "must be given now")
	f(`[1,2]`, `[1]`, "2 is gone")
}
