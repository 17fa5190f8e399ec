package warehouse

import (
	"strings"
	"testing"
)

// Tables that hold rows are there with what they hold, views are not; and so are the disks.
func TestUsage(t *testing.T) {
	w := openMigrated(t)
	if err := w.InsertLabels(t.Context(), []LabelRow{
		{VacancyID: "a", Offset: 1, ReceivedAt: noon, LabelledAt: noon, Category: "x", Source: "test"},
		{VacancyID: "b", Offset: 2, ReceivedAt: noon, LabelledAt: noon, Category: "x", Source: "test"},
	}); err != nil {
		t.Fatal(err)
	}
	tables, err := w.ReadTables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]TableUsage{}
	for _, table := range tables {
		got[table.Table] = table
	}
	if l := got["label_rows"]; l.Rows != 2 || l.Parts != 1 || l.Bytes == 0 {
		t.Errorf("labels take %+v", l)
	}
	if e, there := got["embedding_rows"]; !there || e.Rows != 0 || e.Parts != 0 || e.Bytes != 0 {
		t.Errorf("embeddings take %+v", e)
	}
	if _, there := got["labels"]; there {
		t.Error("a view takes room")
	}
	disks, err := w.ReadDisks(t.Context())
	if err != nil || len(disks) != 1 || disks[0].Disk != "default" || disks[0].Bytes == 0 || disks[0].Free == 0 || disks[0].Free > disks[0].Bytes {
		t.Errorf("got %+v, %v", disks, err)
	}
}

// Who may read a database sees what its tables take; the disks of the server are another right, whose lack is known as such.
func TestUsageWithoutRights(t *testing.T) {
	o := testOptions(t)
	o.Database = "worker"
	open(t, o) // makes the database
	o.Username, o.CreateDatabase, o.Lazy = "poor", false, true
	o.Password.Value = "s3cret-of-the-test"
	w := open(t, o)
	if _, err := w.ReadTables(t.Context()); IsDenied(err) {
		t.Error(err)
	}
	if _, err := w.ReadDisks(t.Context()); !IsDenied(err) || !strings.Contains(err.Error(), "system.disks") {
		t.Errorf("got %v", err)
	}
	o.Username = "worker"
	if disks, err := open(t, o).ReadDisks(t.Context()); err != nil || len(disks) != 1 {
		t.Errorf("got %v, %v", disks, err)
	}
}
