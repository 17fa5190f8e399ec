package drift

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"jobstrom/embedded"
	"jobstrom/warehouse"
)

// engine is one real ClickHouse for the whole test binary; every test has a database of its own.
var engine *embedded.ClickHouse

// testUsers: an analyst may only look, and may change no setting.
const testUsers = `<clickhouse>
<profiles><analyst><readonly>1</readonly></analyst></profiles>
<users><analyst><password>s3cret-of-the-test</password><networks><ip>127.0.0.1</ip></networks><profile>analyst</profile><quota>default</quota></analyst></users>
</clickhouse>`

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == embedded.EngineCommand {
		os.Exit(embedded.RunClickHouseEngine(os.Args[2:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	data, err := os.MkdirTemp("", "drift-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(data)
	if err := errors.Join(os.Mkdir(filepath.Join(data, "users.d"), 0o755), os.WriteFile(filepath.Join(data, "users.d", "tests.xml"), []byte(testUsers), 0o644)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	engine, err = embedded.StartClickHouse(context.Background(), embedded.ClickHouseOptions{DataDir: data, Library: "../.native/lib/libchdb.so"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := engine.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// database names a database after the test.
func database(t testing.TB) string { return strings.NewReplacer("/", "_", "#", "_").Replace(t.Name()) }

// openInstalled opens a database of the test's own, with the schema and the views.
func openInstalled(t testing.TB) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{engine.Addr()}, Database: database(t), CreateDatabase: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := w.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := Install(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return w
}

// day returns a moment of a day in January 2026.
func day(n int, hour float64) time.Time {
	return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC).Add(time.Duration(hour * float64(time.Hour)))
}

func TestInstallAgain(t *testing.T) {
	w := openInstalled(t)
	rows := make([]warehouse.EmbeddingRow, 0, 20)
	for i := range 20 {
		rows = append(rows, warehouse.EmbeddingRow{
			Coordinates: warehouse.Coordinates{TopicID: uuid.UUID{1}, Offset: int64(i)}, ReceivedAt: day(30, 0), VacancyID: fmt.Sprint("v", i), Encoder: "e",
			EmployerHash: []byte(fmt.Sprintf("employer-%07d", i%3)), Vector: []float32{1, 0}, PublishedAt: day(1+i, 12),
		})
	}
	if err := w.InsertEmbeddings(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if err := Install(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	found, err := w.Conn().Query(t.Context(), `SELECT window, rows, employers, first FROM drift_windows(ref_from = '2026-01-01', ref_to = '2026-01-06', cur_from = '2026-01-06', cur_to = '2026-02-01', encoder = 'e')`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	var got []string
	for found.Next() {
		var window string
		var n, employers uint64
		var first time.Time
		if err := found.Scan(&window, &n, &employers, &first); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(window, " ", n, " ", employers, " ", first.Format(time.DateOnly)))
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	if want := "reference 5 3 2026-01-01;current 15 3 2026-01-06"; strings.Join(got, ";") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ";"), want)
	}
}

// Sinks that start at once install the same views, while analysts ask them.
func TestInstallAtOnce(t *testing.T) {
	w := openInstalled(t)
	var installs errgroup.Group
	for range 4 {
		installs.Go(func() error {
			for range 2 {
				if err := Install(t.Context(), w); err != nil {
					return err
				}
				var n uint64
				if err := w.Conn().QueryRow(t.Context(), "SELECT count() FROM drift_categories(ref_from = '2026-01-01', ref_to = '2026-01-02', cur_from = '2026-01-02', cur_to = '2026-01-03', model = '')").Scan(&n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := installs.Wait(); err != nil {
		t.Error(err)
	}
}
