package drift

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"jobstrom/embedded/clickhousetest"
	"jobstrom/warehouse"
)

// testUsers: an analyst may only look, and may change no setting.
const testUsers = `<clickhouse>
<profiles><analyst><readonly>1</readonly></analyst></profiles>
<users><analyst><password>s3cret-of-the-test</password><networks><ip>127.0.0.1</ip></networks><profile>analyst</profile><quota>default</quota></analyst></users>
</clickhouse>`

// One real ClickHouse serves the whole test binary; every test has a database of its own.
func TestMain(m *testing.M) { os.Exit(clickhousetest.Main(m, testUsers)) }

// openInstalled opens a database of the test's own, with the schema and the views.
func openInstalled(t testing.TB) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Database: clickhousetest.Database(t), CreateDatabase: true, DialTimeout: time.Minute})
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
