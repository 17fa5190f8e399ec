package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"

	"jobstrom/server/api"
)

//go:embed static
var staticFiles embed.FS

// asset is a file of the pages.
type asset struct {
	content, kind string
	// address changes with the content, so that browsers may keep the file for ever.
	address string
}

// readAssets reads the static files by name.
func readAssets() (map[string]asset, error) {
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("reading static files: %w", err)
	}
	assets := map[string]asset{}
	for _, e := range entries {
		content, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading static files: %w", err)
		}
		sum := sha256.Sum256(content)
		assets[e.Name()] = asset{string(content), kinds[path.Ext(e.Name())], "/static/" + e.Name() + "?v=" + hex.EncodeToString(sum[:6])}
	}
	return assets, nil
}

// static serves a file of the pages.
func (p *Pages) static(w http.ResponseWriter, r *http.Request) error {
	file, known := p.assets[r.PathValue("file")]
	if !known {
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			return &failure{status: http.StatusNotFound}
		}
		api.NotFound().Write(w, r)
		return nil
	}
	w.Header().Set("Content-Type", file.kind)
	if r.URL.Query().Has("v") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, err := w.Write([]byte(file.content))
	return err
}
