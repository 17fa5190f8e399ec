package cli

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"jobstrom/cluster/clustertest"
	"jobstrom/embedded/clickhousetest"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/security"
	"jobstrom/security/certs"
	"jobstrom/telemetry/logtest"
)

const knownSecret = "s3cret-of-the-test"

// others is a Kafka with TLS and SASL and a ClickHouse with a password, as other people have them.
type others struct {
	t          *testing.T
	settings   map[string]string // of the environment
	kafka, old *kfake.Cluster    // old has an expired certificate
}

func startOthers(t *testing.T) *others {
	t.Helper()
	authority := certs.NewAuthority(t)
	start := func(valid time.Duration) *kfake.Cluster {
		server := authority.Server(authority.Pair("server", valid, "127.0.0.1"), false)
		b, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(server), kfake.EnableSASL(), kfake.Superuser(kafka.Scram512, "worker", knownSecret))
		must(t, err)
		t.Cleanup(b.Close)
		return b
	}
	o := &others{t: t, kafka: start(time.Hour), old: start(-time.Hour)}
	engine := clickhousetest.Start(t, map[string]string{"users.d/worker.xml": fmt.Sprintf(`<clickhouse><users><worker><password>%s</password>
		<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></worker></users></clickhouse>`, knownSecret)})
	registry := srfake.New(srfake.WithAuth("Basic " + base64.StdEncoding.EncodeToString([]byte("worker:"+knownSecret))))
	t.Cleanup(registry.Close)
	o.settings = map[string]string{
		"SCHEMA_REGISTRY": registry.URL(), "SCHEMA_REGISTRY_USER": "worker", "SCHEMA_REGISTRY_PASSWORD": knownSecret,
		"BROKERS": strings.Join(o.kafka.ListenAddrs(), ","), "KAFKA_TLS": "true", "KAFKA_CA": authority.CA, "KAFKA_SASL": kafka.Scram512, "KAFKA_USER": "worker", "KAFKA_PASSWORD": knownSecret,
		"CLICKHOUSE": engine.Addr(), "CLICKHOUSE_USER": "worker", "CLICKHOUSE_PASSWORD": knownSecret,
		"EMPLOYER_KEY": knownSecret, "LOG_LEVEL": "debug", "HTTP": "127.0.0.1:0",
	}
	return o
}

// run runs a command line until it ends or what it writes holds until, and searches all of that for the secret.
func (o *others) run(t *testing.T, changes map[string]string, until, in string, args ...string) (status int, said string) {
	t.Helper()
	settings := map[string]string{"DATA": t.TempDir()}
	for _, more := range []map[string]string{o.settings, changes} {
		for name, value := range more {
			settings[name] = value
		}
	}
	for _, e := range os.Environ() { // what the run before had
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "JOBSTROM_") && name != "JOBSTROM_NATIVE" && name != clustertest.Env {
			os.Unsetenv(name)
		}
	}
	for name, value := range settings {
		if value != "" {
			t.Setenv("JOBSTROM_"+name, value)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	shown, ended := &logtest.Buffer{}, make(chan int, 1)
	go func() { ended <- run(ctx, args, strings.NewReader(in), shown, shown) }()
	for running := true; running; {
		select {
		case status = <-ended:
			running = false
		case <-time.After(20 * time.Millisecond):
			if until != "" && strings.Contains(shown.String(), until) {
				cancel()
			}
		}
	}
	said = shown.String()
	for _, form := range []string{knownSecret, base64.StdEncoding.EncodeToString([]byte(knownSecret)), hex.EncodeToString([]byte(knownSecret))} {
		if place := strings.Index(said, form); place >= 0 {
			t.Errorf("jobstrom %v shows the secret: …%s", args, said[max(0, place-200):place+len(form)])
		}
	}
	if until != "" && !strings.Contains(said, until) {
		t.Errorf("jobstrom %v, status %d, did not say %q: %s", args, status, until, said)
	}
	return status, said
}

// Every command runs against a Kafka and a ClickHouse with passwords, at the debug level, and shows none.
func TestNoCommandShowsASecret(t *testing.T) {
	o := startOthers(t)
	if status, said := o.run(t, nil, "", "", "topics", "--create"); status != 0 {
		t.Fatalf("status %d: %s", status, said)
	}
	reader := kafka.Options{
		Brokers: o.kafka.ListenAddrs(), TLS: security.TLS{Enabled: true, CA: o.settings["KAFKA_CA"]},
		SASL: kafka.SASL{Mechanism: kafka.Scram512, User: "worker", Password: security.Credential{Value: knownSecret}},
	}
	client, err := kafka.NewClient(reader)
	must(t, err)
	defer client.Close()
	must(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Classified, Value: []byte(`{"id":"followed","category":"Bygge og anlæg"}`)}).FirstErr())
	vacancy := `{"id":"a","title":"Murer","text":"Vi søger en murer til facaderenovering i Vejle."}`
	tokens := filepath.Join(t.TempDir(), "tokens.yaml")
	// How each command is run, and what it says when it has come to its work. A command that is not here runs without arguments.
	type line struct {
		in, until string
		args      []string
	}
	commands := map[string][]line{
		"up":           {{"", "Ctrl-C ends it", nil}},
		"demo":         {{"", "Bygge og anlæg", nil}},
		"serve":        {{"", "http://127.0.0.1:", nil}},
		"produce":      {{vacancy, "1 published", []string{"-"}}, {"", "7 would be published", append([]string{"../producers/testdata/pandas.parquet", "--dry-run"}, historyFlags...)}},
		"classify":     {{vacancy, "Bygge", []string{"-"}}, {"", "no such file", []string{"/nowhere"}}},
		"evaluate":     {{"", "no such file", []string{"/nowhere"}}},
		"extract":      {{vacancy, `"by":"rules"`, []string{"-"}}},
		"check":        {{"", "TLS, SCRAM-SHA-512 as worker", nil}, {"", "TLS, SCRAM-SHA-512 as worker", []string{"--format", "json"}}},
		"topics":       {{"", "vacancies.raw", nil}},
		"topics plan":  {{"", "as they are declared", nil}, {"", "retention.ms", []string{"--print"}}},
		"topics apply": {{"", "as they are declared", nil}},
		"train":        {{"", "", []string{"--dry-run"}}},
		"follow":       {{"", " %  ", []string{"--from-start", "-n", "1"}}}, // any row: demo has written some, too
		"ready":        {{"", "is it running", []string{"http://127.0.0.1:1/"}}},
		"run": {
			{"", "jobstrom.extract", []string{"extract"}}, {"", "jobstrom.embed", []string{"embed"}},
			{"", "jobstrom.classify", []string{"classify"}}, {"", "jobstrom.sink", []string{"sink"}},
		},
		"extract evaluate":      {{"", "no such file", []string{"/nowhere"}}},
		"extract view":          {{vacancy, "The page is", []string{"-", "--out", filepath.Join(t.TempDir(), "page.html")}}},
		"extract classify":      {{"", "card.json", []string{"-", "--gliner2", "/nowhere"}}},
		"version":               {{"", "jobstrom", nil}},
		"models compare":        {{"", "no such file", []string{"/nowhere", "/nowhere"}}},
		"bench tune":            {{"", "batch-tokens", []string{"--measure", "10ms", "--rounds", "1"}}},
		"plan":                  {{"", "vacancies a day", []string{"--vacancies-per-day", "1000"}}},
		"models list":           {{"", "no models", nil}},
		"models gate":           {{"", "", []string{"--auto"}}},
		"models switch":         {{"", "", []string{"67"}}},
		"models promote":        {{"", "", []string{"champion"}}},
		"models import":         {{"", "no such file", []string{"/nowhere"}}},
		"models pull":           {{"", "connection refused", []string{"a/b", "--hub-endpoint", "http://127.0.0.1:1", "--hub-token", knownSecret}}, {"", "https", []string{"https://a:" + knownSecret + "@localhost/"}}},
		"models quantize":       {{"", "card.json is missing", []string{"/nowhere"}}},
		"models export-gliner2": {{"", "no such Python", []string{"a/b", "--python", "/nowhere"}}, {"", "torch==", []string{"--requirements"}}},
		"drift watch":           {{"", "against", []string{"--once", "--drift-webhook", "http://127.0.0.1:1/" + knownSecret, "--drift-webhook-key", knownSecret}}},
		"deadletter list":       {{"", "dead letters", nil}},
		"deadletter replay":     {{"", "", []string{"--dry-run"}}},
		"warehouse plan":        {{"", "Layout: one server", nil}},
		"warehouse migrate":     {{"", "has the tables and views", nil}},
		"warehouse backup":      {{"", "rows of", []string{"first"}}, {"", "already", []string{"first"}}, {"", "", []string{"S3('nowhere', 'key', '" + knownSecret + "')"}}},
		"warehouse restore":     {{"", "holds the", []string{"first", "--clickhouse-database", "restored"}}},
		"warehouse rebuild":     {{"", "records in", []string{"--clickhouse-database", "rebuilt"}}},
		"models backup":         {{"", "lines of history", []string{filepath.Join(t.TempDir(), "models.jsonl")}}},
		"models restore":        {{"", "no such file", []string{"/nowhere"}}},
		"reprocess":             {{"", "", nil}, {"", "", []string{"--classifier", "unknown"}}},
		"tokens list":           {{"", "jobstrom tokens new NAME makes it", []string{"--tokens", tokens}}},
		"tokens new":            {{"", "it ends: never", []string{"a", "--tokens", tokens, "--expires", "never"}}},
		"tokens revoke":         {{"", "a revoked", []string{"a", "--tokens", tokens}}},
		"erase":                 {{"", "", []string{"nobody"}}, {"", "", []string{"--verify", "nobody"}}},
	}
	var leaves func(c *cobra.Command, path []string)
	ran := 0
	leaves = func(c *cobra.Command, path []string) {
		for _, sub := range c.Commands() {
			leaves(sub, append(path[:len(path):len(path)], sub.Name()))
		}
		lines := commands[strings.Join(path, " ")]
		if len(lines) == 0 {
			lines = []line{{}}
		}
		for _, l := range lines {
			o.run(t, nil, l.until, l.in, append(path[:len(path):len(path)], l.args...)...)
			ran++
		}
		o.run(t, nil, "", "", append(path[:len(path):len(path)], "--help")...)
	}
	leaves((&app{}).root(), nil)
	t.Logf("%d command lines", ran)
	// With a schema registry all that the flow wrote is framed, and the flow read it.
	card, err := models.ReadEncoderCard((&app{}).encoderDir())
	must(t, err)
	written, bare := map[string]int{}, 0
	must(t, kafka.Scan(t.Context(), reader, kafka.ScanOptions{Topics: []string{kafka.Raw, kafka.Extracted, kafka.Embedded(card.ID), kafka.Classified, kafka.Labels}, Whole: true}, func(r *kgo.Record) error {
		written[r.Topic]++
		if len(r.Value) > 0 && r.Value[0] != 0 {
			bare++ // the classification above
		}
		return nil
	}))
	if len(written) != 5 || bare != 1 {
		t.Errorf("the topics hold %v records, %d of them bare", written, bare)
	}
	// The search sees the log of connections, or it would find nothing anywhere.
	if _, said := o.run(t, nil, "", "", "topics"); !strings.Contains(said, "issuing SASLAuthenticate") {
		t.Errorf("the log was not searched: %s", said)
	}
}

// What is wrong is said with its remedy, and the secret stays hidden in that, too.
func TestWrongSecurity(t *testing.T) {
	o := startOthers(t)
	file := write(t, "password", "wr0ng-"+knownSecret+"\n")
	f := func(changes map[string]string, status int, args []string, want ...string) {
		t.Helper()
		changes["LOG_LEVEL"] = "debug"
		got, said := o.run(t, changes, "", "", args...)
		if got != status {
			t.Errorf("%v: status %d, want %d: %s", changes, got, status, said)
		}
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("%v: did not say %q: %s", changes, w, said)
			}
		}
	}
	check, topics, run, train := []string{"check"}, []string{"topics"}, []string{"run", "extract"}, []string{"train", "--dry-run"}
	f(map[string]string{"KAFKA_PASSWORD": "wr0ng-" + knownSecret, "CLICKHOUSE_PASSWORD": "wr0ng-" + knownSecret}, 1, check, "FAIL  Kafka", "the password", "FAIL  ClickHouse", `refuses the user "worker"`)
	f(map[string]string{"KAFKA_PASSWORD": "", "KAFKA_PASSWORD_FILE": file}, 1, topics, "the password")
	f(map[string]string{"KAFKA_PASSWORD": "wr0ng-" + knownSecret}, 1, run, "the password")
	f(map[string]string{"KAFKA_PASSWORD": "", "KAFKA_PASSWORD_FILE": "/nowhere/password"}, 1, topics, "/nowhere/password")
	f(map[string]string{"KAFKA_SASL": "", "KAFKA_USER": "", "KAFKA_PASSWORD": ""}, 1, topics, "asks for a user there (--kafka-sasl)")
	f(map[string]string{"KAFKA_TLS": "false", "KAFKA_CA": ""}, 1, topics, "asks for TLS (--kafka-tls)")
	f(map[string]string{"KAFKA_CA": ""}, 1, topics, "not trusted here", "--kafka-ca")
	f(map[string]string{"BROKERS": strings.Join(o.old.ListenAddrs(), ",")}, 1, topics, "expired at")
	f(map[string]string{"CLICKHOUSE_PASSWORD": "", "CLICKHOUSE_PASSWORD_FILE": file}, 1, train, `refuses the user "worker"`)
	f(map[string]string{"SCHEMA_REGISTRY_PASSWORD": "wr0ng-" + knownSecret}, 1, []string{"produce", "-"}, "registering schemas at", "no right to register")
	f(map[string]string{"CLICKHOUSE_TLS": "true"}, 1, train, "leave --clickhouse-tls out")
	f(map[string]string{"CLICKHOUSE_DATABASE": "absent"}, 1, train, "no database absent")
	f(map[string]string{"CLICKHOUSE_PASSWORD_FILE": file, "KAFKA_CERT": "c", "KAFKA_TOKEN": knownSecret, "BROKERS": ""}, 2, check,
		"clickhouse-password and clickhouse-password-file are both given", "kafka-cert (c) needs kafka-key", "kafka-token and kafka-token-url need kafka-sasl OAUTHBEARER", "kafka-tls and kafka-sasl need brokers")
	f(map[string]string{"BROKERS": "worker:" + knownSecret + "@kafka:9092"}, 2, check, "brokers must be host:port, without a user")
	config := write(t, "jobstrom.yaml", "kafka-password: ["+knownSecret+"]\n")
	f(map[string]string{"KAFKA_PASSWORD": ""}, 2, []string{"check", "--config", config}, "a secret must be text")
}

// guardedKafka starts brokers that ask for rights: its client may do everything, the user worker what it is granted.
func guardedKafka(t *testing.T, brokers int) ([]string, *kgo.Client) {
	t.Helper()
	b, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser(kafka.Plain, "admin", knownSecret), kfake.User(kafka.Plain, "worker", knownSecret))
	must(t, err)
	t.Cleanup(b.Close)
	admin, err := kafka.NewClient(kafka.Options{Brokers: b.ListenAddrs(), SASL: kafka.SASL{Mechanism: kafka.Plain, User: "admin", Password: security.Credential{Value: knownSecret}}})
	must(t, err)
	t.Cleanup(admin.Close)
	return b.ListenAddrs(), admin
}

// Each command works with the rights that docs/security.md lists, and without one of them ends and names it.
func TestCommandsAndRights(t *testing.T) {
	o := startOthers(t)
	brokers, admin := guardedKafka(t, 1)
	card, err := models.ReadEncoderCard((&app{}).encoderDir())
	must(t, err)
	must(t, kafka.EnsureTopics(t.Context(), admin, card.ID, kafka.Layout{Partitions: 2, Replication: 1}))
	must(t, admin.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Classified, Value: []byte(`{"id":"followed","category":"Ledelse"}`)}).FirstErr())
	grant := clustertest.Granter(admin, "worker")
	o.settings["BROKERS"], o.settings["KAFKA_TLS"], o.settings["KAFKA_CA"], o.settings["KAFKA_SASL"] = strings.Join(brokers, ","), "", "", kafka.Plain
	works := func(command, until, in string, args ...string) {
		t.Helper()
		grant(t, kafka.RightsOf(command, card.ID))
		_, said := o.run(t, nil, until, in, append(strings.Fields(command), args...)...)
		for line := range strings.Lines(said) {
			// The size of topics takes a right that the sink can do without; whether it gets to asking before it is ended is chance.
			if strings.Contains(line, kafka.ErrDenied.Error()) && !strings.Contains(line, "metrics are not shown for now") {
				t.Errorf("%s with all its rights: %s", command, line)
			}
		}
	}
	ends := func(command string, lacking kafka.Right, in string, args ...string) {
		t.Helper()
		grant(t, slices.DeleteFunc(slices.Clone(kafka.RightsOf(command, card.ID)), func(r kafka.Right) bool { return r == lacking }))
		if status, said := o.run(t, nil, "", in, append(strings.Fields(command), args...)...); status != 1 || !strings.Contains(said, "lacks "+lacking.String()+":") {
			t.Errorf("%s without %s: status %d, %s", command, lacking, status, said)
		}
	}
	// Loading the encoder takes seconds: the stages' other rights are the consumers' tests.
	ends("run extract", kafka.ReadTopic(kafka.Raw), "")
	works("run embed", "group session", "")
	ends("run classify", kafka.ReadTopic(kafka.Models), "")
	works("run sink", "group session", "")
	works("serve", "http://127.0.0.1:", "")
	works("follow", "followed", "", "--from-start", "-n", "1")
	ends("follow", kafka.ReadTopic(kafka.Classified), "", "--from-start", "-n", "1")
	vacancy := `{"text":"Vi søger en murer til facaderenovering i Vejle."}`
	works("produce", "1 published", vacancy, "-")
	ends("produce", kafka.WriteTopic(kafka.Raw), vacancy, "-")
	works("deadletter list", "", "")
	ends("deadletter list", kafka.ReadTopic(kafka.DeadLetter), "")
	works("deadletter replay", "", "", "0/0", "--yes")
	ends("deadletter replay", kafka.WriteTransactions("jobstrom.replay"), "", "0/0", "--yes")
	works("drift watch", "against", "", "--once")
	ends("drift watch", kafka.WriteTopic(kafka.DriftEvents), "", "--once")
	works("models promote", "is the champion", "", "champion")
	works("models list", "champion", "")
	works("models switch", "is live already", "", card.ID[:8])
	ends("models list", kafka.ReadTopic(kafka.ModelHistory), "")
	ends("models rollback", kafka.WriteTransactions("jobstrom.registry"), "")
	longer := write(t, "longer.yaml", "topics: {vacancies.raw: {retention.ms: 1209600000}}\n")
	works("topics plan", "1209600000", "", "--file", longer)
	ends("topics plan", kafka.ReadConfigs(kafka.Raw), "")
	ends("topics plan", kafka.DescribeTopic(kafka.Shadow), "")
	ends("topics apply", kafka.AlterConfigs(kafka.Raw), "", "--file", longer)
	works("topics apply", "1209600000", "", "--file", longer)
	_, err = kadm.NewClient(admin).DeleteTopic(t.Context(), kafka.Shadow)
	must(t, err)
	ends("topics apply", kafka.CreateTopic(kafka.Shadow), "")
	works("topics apply", "create", "")
	works("erase", "", "", "nobody")
	works("warehouse backup", "rows of", "", "allowed")
	ends("warehouse backup", kafka.ReadGroup("jobstrom.sink"), "", "denied")
	works("warehouse restore", "holds the", "", "allowed", "--clickhouse-database", "restored")
	ends("warehouse restore", kafka.ReadTopic(kafka.Labels), "", "allowed", "--clickhouse-database", "denied")
	works("warehouse rebuild", "records in", "", "--clickhouse-database", "rebuilt")
	ends("warehouse rebuild", kafka.ReadTopic(kafka.Shadow), "", "--clickhouse-database", "denied")
	works("reprocess", "", "")
	ends("reprocess", kafka.ReadGroup("jobstrom.reprocess.*"), "")
	ends("erase", kafka.WriteTransactions("jobstrom.erase.*"), "", "nobody")
}

// Moving replicas takes two brokers: who may not alter the cluster is told so, and may do all else of topics apply.
func TestMovingReplicasTakesARight(t *testing.T) {
	brokers, admin := guardedKafka(t, 2)
	card, err := models.ReadEncoderCard((&app{}).encoderDir())
	must(t, err)
	all := kafka.RightsOf("topics apply", card.ID)
	clustertest.Granter(admin, "worker")(t, slices.DeleteFunc(all, func(r kafka.Right) bool { return r == kafka.AlterCluster() }))
	o := &others{t: t, settings: map[string]string{"BROKERS": strings.Join(brokers, ","), "KAFKA_SASL": kafka.Plain, "KAFKA_USER": "worker", "KAFKA_PASSWORD": knownSecret, "REPLICATION": "1"}}
	if status, said := o.run(t, nil, "", "", "topics", "apply"); status != 0 {
		t.Fatalf("status %d: %s", status, said)
	}
	two := write(t, "two.yaml", "topics: {drift.events: {replication.factor: 2}}\n")
	if status, said := o.run(t, nil, "", "", "topics", "apply", "--file", two); status != 1 || !strings.Contains(said, "lacks Alter on cluster:") {
		t.Errorf("status %d: %s", status, said)
	}
}

// A secret's settings can come from a file of settings, too.
func TestSecretsOfTheSettingsFile(t *testing.T) {
	o := startOthers(t)
	_, port, err := net.SplitHostPort(o.kafka.ListenAddrs()[0])
	must(t, err)
	config := write(t, "jobstrom.yaml", fmt.Sprintf("brokers: [\"127.0.0.1:%s\"]\nkafka-tls: true\nkafka-ca: %s\nkafka-sasl: SCRAM-SHA-512\nkafka-user: worker\nkafka-password: %s\n", port, o.settings["KAFKA_CA"], knownSecret))
	off := map[string]string{"BROKERS": "", "KAFKA_TLS": "", "KAFKA_CA": "", "KAFKA_SASL": "", "KAFKA_USER": "", "KAFKA_PASSWORD": ""}
	if status, said := o.run(t, off, "", "", "topics", "--config", config); status != 0 {
		t.Errorf("status %d: %s", status, said)
	}
}
