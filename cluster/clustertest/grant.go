package clustertest

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"jobstrom/kafka"
)

// Granter returns what leaves a user with exactly these rights, on a cluster that this client may administrate. Brokers learn of it a little later.
func Granter(admin *kgo.Client, user string) func(t *testing.T, rights []kafka.Right) {
	return func(t *testing.T, rights []kafka.Right) {
		t.Helper()
		all := kmsg.NewDeleteACLsRequestFilter()
		all.ResourceType, all.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
		all.Operation, all.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
		remove, create := kmsg.NewPtrDeleteACLsRequest(), kmsg.NewPtrCreateACLsRequest()
		remove.Filters = append(remove.Filters, all)
		if _, err := remove.RequestWith(t.Context(), admin); err != nil {
			t.Fatal(err)
		}
		for _, r := range rights {
			a := kmsg.NewCreateACLsRequestCreation()
			a.Principal, a.Host, a.PermissionType = "User:"+user, "*", kmsg.ACLPermissionTypeAllow
			a.ResourceName, a.ResourcePatternType = r.Name, kmsg.ACLResourcePatternTypeLiteral
			if name, prefixed := strings.CutSuffix(r.Name, "*"); prefixed {
				a.ResourceName, a.ResourcePatternType = name, kmsg.ACLResourcePatternTypePrefixed
			}
			var err error
			if a.ResourceType, err = kmsg.ParseACLResourceType(strings.ReplaceAll(r.Resource, " ", "_")); err != nil {
				t.Fatal(err)
			}
			if a.Operation, err = kmsg.ParseACLOperation(r.Operation); err != nil {
				t.Fatal(err)
			}
			if a.ResourceType == kmsg.ACLResourceTypeCluster {
				a.ResourceName = "kafka-cluster" // its name in every list of Kafka
			}
			create.Creations = append(create.Creations, a)
		}
		created, err := create.RequestWith(t.Context(), admin)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range created.Results {
			if r.ErrorCode != 0 {
				t.Fatalf("creating an ACL: code %d", r.ErrorCode)
			}
		}
	}
}
