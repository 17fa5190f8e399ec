package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"jobstrom/warehouse"
)

// Tables holds the settings of where ClickHouse's tables lie and who makes them.
type Tables struct {
	Migrate       bool          `koanf:"migrate"`
	Cluster       string        `koanf:"clickhouse-cluster"`
	Replicated    bool          `koanf:"clickhouse-replicated"`
	Sharded       bool          `koanf:"clickhouse-sharded"`
	OnCluster     bool          `koanf:"clickhouse-on-cluster"`
	StoragePolicy string        `koanf:"clickhouse-storage-policy"`
	ColdVolume    string        `koanf:"clickhouse-cold-volume"`
	RetentionHot  time.Duration `koanf:"retention-hot"`
}

func addTablesFlags(f *pflag.FlagSet) {
	f.Bool("migrate", true, "bring ClickHouse's tables up to date at the start; false leaves that to jobstrom warehouse migrate and refuses tables that are not")
	f.String("clickhouse-cluster", "", "`name` of a cluster in ClickHouse's remote_servers that the tables lie on; none is one server")
	f.Bool("clickhouse-replicated", false, "tables of the cluster are replicated within each shard, by Keeper")
	f.Bool("clickhouse-sharded", false, "rows are divided among the cluster's shards, those of a vacancy together")
	f.Bool("clickhouse-on-cluster", true, "make tables on all servers of the cluster by ON CLUSTER; false makes them on the server that is asked alone")
	f.String("clickhouse-storage-policy", "", "storage `policy` of tables that are made (default the server's)")
	f.String("clickhouse-cold-volume", "cold", "`volume` of the storage policy that old rows move to, with --retention-hot")
	f.Duration("retention-hot", 0, "`time` that rows lie on the policy's first volume, counted as --retention; 0 leaves that as it is")
}

func (t Tables) layout() warehouse.Layout {
	return warehouse.Layout{
		Cluster: t.Cluster, Replicated: t.Replicated, Sharded: t.Sharded, Here: t.Cluster != "" && !t.OnCluster, StoragePolicy: t.StoragePolicy, ColdVolume: t.ColdVolume,
	}
}

// Validate reports what does not fit together; what the layout itself refuses is said by the warehouse.
func (t Tables) Validate(clickHouse []string, retention time.Duration) error {
	var wrong []error
	if t.Cluster != "" && len(clickHouse) == 0 {
		wrong = append(wrong, fmt.Errorf("clickhouse-cluster (%s) needs clickhouse: the embedded one is one server", t.Cluster))
	}
	if t.RetentionHot != 0 && t.RetentionHot < time.Hour {
		wrong = append(wrong, fmt.Errorf("retention-hot (%s) must be 0 or at least 1h0m0s", t.RetentionHot))
	}
	if t.RetentionHot != 0 && retention != 0 && t.RetentionHot >= retention {
		wrong = append(wrong, fmt.Errorf("retention-hot (%s) must be below retention (%s)", t.RetentionHot, retention))
	}
	return errors.Join(append(wrong, t.layout().Validate())...)
}
