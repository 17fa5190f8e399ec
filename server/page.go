package server

import (
	"embed"
	"html/template"
	"net/http"
	"path"
	"strings"

	"jobstrom/server/api"
)

//go:embed web
var web embed.FS

// addPage adds the web page for people, and its script and style.
func addPage(mux *http.ServeMux, s *api.Service) {
	index := template.Must(template.ParseFS(web, "web/index.html"))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			api.Alive(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = index.Execute(w, s.Taxonomy)
	})
	mux.HandleFunc("GET /static/{file}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("file")
		data, err := web.ReadFile(path.Join("web", name))
		if err != nil {
			api.NotFound().Write(w, r)
			return
		}
		types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
		w.Header().Set("Content-Type", types[path.Ext(name)])
		_, _ = w.Write(data)
	})
}
