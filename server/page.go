package server

import (
	"embed"
	"net/http"
	"path"
)

//go:embed web
var web embed.FS

// index is the web page for people and a sign of life for machines.
func (s *server) index(w http.ResponseWriter, r *http.Request) error {
	if !wantsHTML(r) {
		return write(w, ok)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return s.page.Execute(w, s.Taxonomy)
}

// static serves the page's script and style.
func (s *server) static(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	data, err := web.ReadFile(path.Join("web", name))
	if err != nil {
		return &httpError{http.StatusNotFound, "no such file"}
	}
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	w.Header().Set("Content-Type", types[path.Ext(name)])
	_, err = w.Write(data)
	return err
}
