package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Tags group the routes.
const (
	tagReference = "Reference system"
	tagClassify  = "Classify"
	tagVacancies = "Vacancies"
	tagModels    = "Models"
	tagDrift     = "Drift"
	tagEvents    = "Events"
	tagLetters   = "Dead letters"
)

var problemStruct = reflect.TypeFor[Problem]()

// document is the description of the API before its routes are added.
func (s *Service) document() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "jobstrom", Version: s.Version, License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			Description: fmt.Sprintf("Classifies Danish job vacancies into Jobnet's %d categories. A request has at most %d bytes and %d texts; errors are problems of RFC 9457. "+
				"When too much is under way the answer is 429, and Retry-After says when to try again. Where tokens are asked for, each route names the scope that it needs.", len(s.Taxonomy.Categories), s.MaxBytes, s.MaxTexts),
		},
		Tags: []*huma.Tag{{Name: tagReference}, {Name: tagClassify}, {Name: tagVacancies}, {Name: tagModels}, {Name: tagDrift}, {Name: tagEvents}, {Name: tagLetters}},
		Components: &huma.Components{
			Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "A token with the scope classify, publish or admin; admin includes the others. Without a file of tokens nobody is asked for one."}},
		},
	}
}

// schema adds the schema of a type to the description.
func (r *routes) schema(v any) *huma.Schema {
	return r.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
}

// describe serves the description, which is made once, and the page of it.
func (r *routes) describe(mux *http.ServeMux) error {
	delete(r.OpenAPI().Components.Schemas.Map(), "ErrorModel") // huma's own, which finish replaces
	delete(r.OpenAPI().Components.Schemas.Map(), "ErrorDetail")
	asJSON, err := json.MarshalIndent(r.OpenAPI(), "", "  ")
	if err != nil {
		return fmt.Errorf("describing the API: %w", err)
	}
	asYAML, err := r.OpenAPI().YAML()
	if err != nil {
		return fmt.Errorf("describing the API: %w", err)
	}
	serve := func(path, contentType string, content []byte) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(content)
		})
	}
	page, err := renderDocs(r.OpenAPI())
	if err != nil {
		return err
	}
	serve("/openapi.json", "application/json", asJSON)
	serve("/openapi.yaml", "application/yaml", asYAML)
	serve("/docs", "text/html; charset=utf-8", page)
	for name, contentType := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"} {
		content, err := docsFiles.ReadFile("docs/" + name)
		if err != nil {
			return fmt.Errorf("making the documentation page: %w", err)
		}
		serve("/docs/"+name, contentType, content)
	}
	return nil
}
