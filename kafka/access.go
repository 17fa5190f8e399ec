package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrDenied is wrapped by errors of a client whose user lacks a right. Trying again does not help: the cluster's operator must grant it.
var ErrDenied = errors.New("no access")

// Right is what an ACL grants: an operation on a topic, a consumer group, a transactional id or the cluster.
type Right struct {
	Operation string // Read, Write, Describe, Create, Alter, DescribeConfigs, AlterConfigs
	Resource  string // topic, group, transactional id, cluster
	Name      string // empty of the cluster, of which there is one
}

func (r Right) String() string {
	return strings.TrimSpace(r.Operation + " on " + r.Resource + " " + r.Name)
}

// Rights on topics, groups, transactional ids and the cluster. Read and Write include Describe, so do AlterConfigs DescribeConfigs, and Alter on the cluster Describe on it.
func ReadTopic(name string) Right       { return Right{"Read", "topic", name} }
func WriteTopic(name string) Right      { return Right{"Write", "topic", name} }
func DescribeTopic(name string) Right   { return Right{"Describe", "topic", name} }
func ReadConfigs(topic string) Right    { return Right{"DescribeConfigs", "topic", topic} }
func AlterConfigs(topic string) Right   { return Right{"AlterConfigs", "topic", topic} }
func CreateTopic(name string) Right     { return Right{"Create", "topic", name} }
func ReadGroup(name string) Right       { return Right{"Read", "group", name} }
func WriteTransactions(id string) Right { return Right{"Write", "transactional id", id} }
func DescribeCluster() Right            { return Right{"Describe", "cluster", ""} } // to see how large topics are and which replicas move
func AlterCluster() Right               { return Right{"Alter", "cluster", ""} }    // to move replicas

// Denied names what is missing when err is a broker's refusal of a right: of those given, those of the kind of resource that the broker refused.
// Any other error is returned as it is.
func Denied(err error, asked ...Right) error {
	resource := ""
	switch {
	case err == nil || errors.Is(err, ErrDenied):
		return err
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		resource = "topic"
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		resource = "group"
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		resource = "transactional id"
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		resource = "cluster"
		if !slices.ContainsFunc(asked, func(r Right) bool { return r.Resource == resource }) {
			resource = "topic" // who may write to no topic at all may not begin to
		}
	default:
		return err
	}
	asked = slices.DeleteFunc(slices.Clone(asked), func(r Right) bool { return r.Resource != resource })
	if len(asked) == 0 {
		asked = []Right{{"a right", resource, ""}}
	}
	return denied(err, asked, " or ")
}

// NameDenied asks the brokers which of the rights are missing when err is their refusal of one, and names them all. Any other error is returned as it is.
func NameDenied(ctx context.Context, o Options, err error, rights []Right) error {
	if errors.Is(err, ErrDenied) || !errors.Is(Denied(err), ErrDenied) {
		return err
	}
	client, failed := NewClient(o)
	if failed != nil {
		return Denied(err, rights...)
	}
	defer client.Close()
	missing, failed := Missing(ctx, client, rights)
	if failed != nil || len(missing) == 0 {
		return Denied(err, rights...)
	}
	return denied(err, missing, " and ")
}

// Require returns an error that names those of the rights that the client's user lacks, for a command that would need them later.
func Require(ctx context.Context, client *kgo.Client, rights ...Right) error {
	missing, err := Missing(ctx, client, rights)
	if err != nil || len(missing) == 0 {
		return err
	}
	return denied(errors.New("the brokers say so"), missing, " and ")
}

func denied(err error, lacks []Right, join string) error {
	var names []string
	for _, r := range lacks {
		names = append(names, r.String())
	}
	return fmt.Errorf("%w: this client's user lacks %s: grant it (docs/security.md lists what each command needs): %w", ErrDenied, strings.Join(names, join), err)
}

// Role is a command and the rights that it needs on topics that exist.
type Role struct {
	Command string
	Rights  []Right
}

// Roles lists what each command needs, for a flow with this encoder. Creating topics needs Create on each (or on the cluster) besides.
func Roles(encoder string) []Role {
	stage := func(name, encoder, from, to string, more ...Right) Role {
		return Role{"run " + name, append([]Right{
			ReadTopic(from), WriteTopic(to), WriteTopic(DeadLetter), ReadGroup(Group(name, encoder)), WriteTransactions(TransactionalID(name, encoder, "*")),
		}, more...)}
	}
	embedded := Embedded(encoder)
	registry := []Right{ReadTopic(Models), ReadTopic(ModelHistory), WriteTopic(Models), WriteTopic(ModelHistory), WriteTransactions("jobstrom.registry")}
	return []Role{
		stage("extract", "", Raw, Extracted, WriteTopic(Labels), WriteTopic(APIPredictions)), // the latter for tombstones
		stage("embed", encoder, Extracted, embedded, ReadTopic(Models)),
		stage("classify", encoder, embedded, Classified, ReadTopic(Models), WriteTopic(Shadow)),
		{"run sink", []Right{
			ReadTopic(embedded), ReadTopic(Classified), ReadTopic(Labels), ReadTopic(DeadLetter), ReadTopic(Shadow), ReadTopic(APIPredictions), ReadTopic(ModelHistory), WriteTopic(DeadLetter),
			ReadGroup(Group("sink", encoder)), ReadGroup(Group("sink", "")),
		}},
		// The first two answer requests; each further route needs what its command does: produce, follow, deadletter, models, deadletter replay.
		{"serve", []Right{
			ReadTopic(Models), WriteTopic(APIPredictions), WriteTopic(Raw), WriteTopic(Labels), ReadTopic(Classified), ReadTopic(DeadLetter), ReadTopic(ModelHistory),
			WriteTopic(Models), WriteTopic(ModelHistory), WriteTransactions("jobstrom.registry"),
			WriteTopic(DeadLetter), WriteTopic(Extracted), WriteTopic(embedded), WriteTopic(Classified), WriteTransactions("jobstrom.replay"),
		}},
		{"produce", []Right{WriteTopic(Raw), WriteTopic(Labels)}},
		{"follow", []Right{ReadTopic(Classified)}},
		{"train", registry},
		{"models switch", append([]Right{DescribeTopic(Raw)}, registry...)},
		{"models", registry},
		// A letter goes back to where it was refused.
		{"deadletter replay", []Right{
			ReadTopic(DeadLetter), WriteTopic(DeadLetter), WriteTopic(Raw), WriteTopic(Extracted), WriteTopic(embedded), WriteTopic(Classified), WriteTopic(Labels),
			WriteTopic(APIPredictions), WriteTransactions("jobstrom.replay"),
		}},
		{"deadletter", []Right{ReadTopic(DeadLetter)}},
		{"drift watch", append([]Right{WriteTopic(DriftEvents)}, registry...)}, // the registry's for --drift-retrain
		{"erase", []Right{
			WriteTopic(Raw), WriteTransactions("jobstrom.erase.*"),
			ReadTopic(Raw), ReadTopic(Extracted), ReadTopic(embedded), ReadTopic(Classified), ReadTopic(Labels), ReadTopic(DeadLetter), ReadTopic(Shadow), ReadTopic(APIPredictions), // --verify
		}},
		{"warehouse backup", append(describeStored(embedded), ReadGroup(Group("sink", encoder)), ReadGroup(Group("sink", "")))},
		{"warehouse restore", []Right{ // tombstones
			ReadTopic(Classified), ReadTopic(Labels), ReadTopic(DeadLetter), ReadTopic(APIPredictions),
			DescribeTopic(Shadow), DescribeTopic(ModelHistory), DescribeTopic(DriftEvents),
		}},
		{"warehouse rebuild", []Right{
			ReadTopic(embedded), ReadTopic(Classified), ReadTopic(Labels), ReadTopic(DeadLetter), ReadTopic(Shadow), ReadTopic(APIPredictions), ReadTopic(ModelHistory), ReadTopic(DriftEvents),
		}},
		{"reprocess", []Right{
			ReadTopic(Raw), ReadTopic(Extracted), ReadTopic(embedded), ReadTopic(DeadLetter), ReadTopic(Models), WriteTopic(Shadow),
			ReadGroup("jobstrom.reprocess.*"), WriteTransactions("jobstrom.reprocess.*"),
		}},
		{declares + "plan", onTopics(encoder, DescribeTopic, ReadConfigs)},
		{declares + "apply", append(onTopics(encoder, DescribeTopic, CreateTopic, AlterConfigs), AlterCluster())},
	}
}

// declares begins the commands that declare topics, whose rights no other command needs: the flow works on topics as it finds them.
const declares = "topics "

// onTopics returns rights on each of the flow's topics.
func onTopics(encoder string, rights ...func(topic string) Right) (all []Right) {
	for _, topic := range TopicNames(encoder) {
		for _, right := range rights {
			all = append(all, right(topic))
		}
	}
	return all
}

// describeStored lets a command see the topics that ClickHouse's rows come from.
func describeStored(embedded string) (rights []Right) {
	for _, topic := range append(storedOnce(), DriftEvents, embedded) {
		rights = append(rights, DescribeTopic(topic))
	}
	return rights
}

// RightsOf returns what a command needs, which begins with the name of a role; that of any other is what all the flow's roles have.
func RightsOf(command, encoder string) []Right {
	var all []Right
	for _, role := range Roles(encoder) {
		if role.Command == command || strings.HasPrefix(command, role.Command+" ") {
			return role.Rights
		}
		if strings.HasPrefix(role.Command, declares) {
			continue
		}
		for _, r := range role.Rights {
			if !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	return all
}

// Missing returns those of the rights that the client's user lacks, as far as brokers tell: all on the cluster and on topics that exist, and on groups and
// transactional ids whether they may be seen at all. Of a topic that the user may not even see brokers tell nothing else: where Describe on it is among the rights,
// that alone is said to be missing.
func Missing(ctx context.Context, client *kgo.Client, rights []Right) ([]Right, error) {
	var names []string
	for _, r := range rights {
		if r.Resource == "topic" && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	topics, err := describe(ctx, client, names...)
	if err != nil {
		return nil, err
	}
	onCluster := sync.OnceValues(func() (operations, error) { return onCluster(ctx, client) }) // asked when a right calls for it
	admin := kadm.NewClient(client)
	var missing []Right
	for _, r := range rights {
		lacks := false
		operation, err := kmsg.ParseACLOperation(r.Operation)
		if err != nil {
			return nil, fmt.Errorf("reading the right %s: %w", r, err)
		}
		switch r.Resource {
		case "topic":
			t := topics[r.Name]
			switch {
			case errors.Is(t.Err, kerr.TopicAuthorizationFailed):
				lacks = operation == kmsg.ACLOperationDescribe || !slices.Contains(rights, DescribeTopic(r.Name))
			case t.Err == nil && len(t.AuthorizedOperations) > 0: // an empty list comes from brokers that keep no ACLs
				lacks = !slices.Contains(t.AuthorizedOperations, operation)
			}
			if lacks && operation == kmsg.ACLOperationCreate {
				may, err := onCluster() // creates any topic
				if err != nil {
					return nil, err
				}
				lacks = !may.include(operation)
			}
		case "cluster":
			may, err := onCluster()
			if err != nil {
				return nil, err
			}
			lacks = !may.include(operation)
		case "group":
			described, err := admin.DescribeGroups(ctx, strings.Replace(r.Name, "*", "0", 1))
			lacks = errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(described.Error(), kerr.GroupAuthorizationFailed)
		case "transactional id":
			id := strings.Replace(r.Name, "*", "0", 1)
			described, err := admin.DescribeTransactions(ctx, id)
			lacks = errors.Is(err, kerr.TransactionalIDAuthorizationFailed) || errors.Is(described[id].Err, kerr.TransactionalIDAuthorizationFailed)
		}
		if lacks {
			missing = append(missing, r)
		}
	}
	return missing, nil
}

// operations is a set of them as brokers tell it, a bit each.
type operations int32

func (o operations) include(operation kmsg.ACLOperation) bool {
	const untold = math.MinInt32 // by brokers that keep no ACLs
	return o == untold || o&(1<<operation) != 0
}

// onCluster returns what the client's user may do on the cluster. Brokers tell that to who may describe it; others may not alter it either.
func onCluster(ctx context.Context, client *kgo.Client) (operations, error) {
	request := kmsg.NewPtrDescribeClusterRequest()
	request.IncludeClusterAuthorizedOperations = true
	response, err := request.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		return 0, fmt.Errorf("asking for the rights on the cluster: %w", err)
	}
	return operations(response.ClusterAuthorizedOperations), nil
}
