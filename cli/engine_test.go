package cli

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jobstrom/embedded"
	"jobstrom/models"
)

// engineWith runs a ClickHouse of the test's own, with these files in its folder, by their names there, like users.d/worker.xml.
func engineWith(t *testing.T, files map[string]string) *embedded.ClickHouse {
	t.Helper()
	native, err := models.NativeDir()
	must(t, err)
	data := t.TempDir()
	for name, content := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(data, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(data, name), []byte(content), 0o644))
	}
	engine, err := embedded.StartClickHouse(t.Context(), embedded.ClickHouseOptions{DataDir: data, Library: filepath.Join(native, models.LibraryClickHouse), StartTimeout: 2 * time.Minute})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := engine.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return engine
}
