package api

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs
var docsFiles embed.FS

// docsPage is the description for people, with a form for each route. It needs nothing from elsewhere.
type docsPage struct {
	API      *huma.OpenAPI
	Groups   []docsGroup
	Schemas  []docsSchema
	Problems []docsProblem
}

type docsGroup struct {
	Name   string
	Routes []docsRoute
}

type docsRoute struct {
	*huma.Operation
	Scope   string
	Body    *docsBody
	Answers []docsAnswer
	// Problems are the statuses whose answer is a problem.
	Problems string
}

type docsBody struct {
	ContentType, Example string
	Type                 docsType
}

type docsAnswer struct {
	Status, Text, ContentType string
	Type                      docsType
}

// docsType says in words what a value is. Ref names its schema.
type docsType struct{ Text, Ref string }

type docsSchema struct {
	Name   string
	Fields []docsField
}

type docsField struct {
	Name, Text string
	Type       docsType
	Required   bool
}

type docsProblem struct{ Kind, Title string }

// renderDocs makes the page.
func renderDocs(api *huma.OpenAPI) ([]byte, error) {
	p := docsPage{API: api}
	for _, tag := range api.Tags {
		p.Groups = append(p.Groups, docsGroup{Name: tag.Name})
	}
	for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
		item := api.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post} {
			if op != nil {
				at := slices.IndexFunc(p.Groups, func(g docsGroup) bool { return g.Name == op.Tags[0] })
				p.Groups[at].Routes = append(p.Groups[at].Routes, routeOf(api, op))
			}
		}
	}
	schemas := api.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		p.Schemas = append(p.Schemas, docsSchema{name, fieldsOf(schemas[name])})
	}
	for _, kind := range slices.Sorted(maps.Keys(titles)) {
		p.Problems = append(p.Problems, docsProblem{kind, titles[kind]})
	}
	t, err := template.ParseFS(docsFiles, "docs/page.html")
	if err != nil {
		return nil, fmt.Errorf("making the documentation page: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("making the documentation page: %w", err)
	}
	return out.Bytes(), nil
}

func routeOf(api *huma.OpenAPI, op *huma.Operation) docsRoute {
	r := docsRoute{Operation: op}
	for _, needed := range op.Security {
		r.Scope = strings.Join(needed["token"], ", ")
	}
	if op.RequestBody != nil {
		for contentType, media := range op.RequestBody.Content {
			r.Body = &docsBody{ContentType: contentType, Type: typeOf(media.Schema)}
			if text, ok := media.Example.(string); ok {
				r.Body.Example = text
			} else {
				example, _ := json.MarshalIndent(exampleOf(api.Components.Schemas, media.Schema, 0), "", "  ") // made of JSON's own types
				r.Body.Example = string(example)
			}
		}
	}
	var problems []string
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		response := op.Responses[status]
		if response.Content[problemType] != nil {
			problems = append(problems, status)
			continue
		}
		a := docsAnswer{Status: status, Text: response.Description}
		for contentType, media := range response.Content {
			a.ContentType, a.Type = contentType, typeOf(media.Schema)
		}
		r.Answers = append(r.Answers, a)
	}
	r.Problems = strings.Join(problems, ", ")
	return r
}

func fieldsOf(s *huma.Schema) []docsField {
	var fields []docsField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		fields = append(fields, docsField{name, property.Description, typeOf(property), slices.Contains(s.Required, name)})
	}
	slices.SortStableFunc(fields, func(a, b docsField) int { return cmp.Compare(btoi(b.Required), btoi(a.Required)) })
	return fields
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// typeOf says what a schema allows.
func typeOf(s *huma.Schema) docsType {
	switch {
	case s == nil:
		return docsType{}
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return docsType{name, name}
	case len(s.AnyOf) > 0:
		var all []string
		t := docsType{}
		for _, one := range s.AnyOf {
			o := typeOf(one)
			all, t.Ref = append(all, o.Text), cmp.Or(t.Ref, o.Ref)
		}
		t.Text = strings.Join(all, " or ")
		return t
	case s.Type == huma.TypeArray:
		of := typeOf(s.Items)
		return docsType{"list of " + of.Text, of.Ref}
	case s.Type == huma.TypeObject:
		if of, ok := s.AdditionalProperties.(*huma.Schema); ok {
			inner := typeOf(of)
			return docsType{"object of " + inner.Text, inner.Ref}
		}
		return docsType{"object", ""}
	}
	return docsType{strings.TrimSpace(s.Type + " " + s.Format), ""}
}

// exampleOf makes a value of a schema from its examples: what is required, and what has one.
func exampleOf(r huma.Registry, s *huma.Schema, depth int) any {
	for s.Ref != "" {
		s = r.SchemaFromRef(s.Ref)
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.AnyOf) > 0:
		return exampleOf(r, s.AnyOf[0], depth)
	}
	switch s.Type {
	case huma.TypeArray:
		return []any{exampleOf(r, s.Items, depth+1)}
	case huma.TypeObject:
		out := map[string]any{}
		for name, property := range s.Properties {
			if slices.Contains(s.Required, name) || len(property.Examples) > 0 {
				out[name] = exampleOf(r, property, depth+1)
			}
		}
		return out
	case huma.TypeInteger, huma.TypeNumber:
		return 0
	case huma.TypeBoolean:
		return false
	}
	return ""
}
