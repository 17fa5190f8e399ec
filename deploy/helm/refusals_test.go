package helm

import (
	"strings"
	"testing"
)

// Values that cannot work are refused before anything is installed, with what to do.
func TestRefusals(t *testing.T) {
	f := func(name, values string, says ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := template(t, []string{cases(t)["minimal"]}, values)
			if err == nil {
				t.Fatalf("rendered %d bytes", len(out))
			}
			for _, s := range says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v\ndoes not say %q", err, s)
				}
			}
		})
	}
	f("nothing given", "kafka: {brokers: []}\nclickhouse: {addresses: []}\nemployerKeySecret: {name: ''}\napi: {tokensSecret: {name: ''}}",
		"kafka.brokers is empty", "clickhouse.addresses is empty", "employerKeySecret.name is empty", "say who is let in") // all at once

	f("typo", "kafka: {broker: [a:1]}", "broker", "not allowed")
	f("typo of a part", "stage: {}", "stage", "not allowed")
	f("broker without port", "kafka: {brokers: [kafka]}", "brokers")
	f("broker with password", "kafka: {brokers: ['u:p@kafka:9092']}", "brokers")
	f("secret in place of its name", "clickhouse: {passwordSecret: hunter2}", "passwordSecret")
	f("mechanism", "kafka: {sasl: {mechanism: scram}}", "mechanism")
	f("no partitions", "topics: {partitions: 0}", "partitions")
	f("least of no replicas", "stages: {embed: {autoscaling: {min: 0, max: 1, lag: 1}}}", "min")
	f("id of an encoder", "encoders: [{name: '', id: e5}]", "id")
	f("no encoder", "encoders: []", "encoders")

	f("replicas over partitions", "topics: {partitions: 4}\nstages: {embed: {replicas: 5}}", "stages.embed.replicas (5) is more than topics.partitions (4)")
	f("autoscaling over partitions", "topics: {partitions: 4}\nautoscaling: {enabled: true}\nstages: {embed: {autoscaling: {min: 1, max: 9, lag: 10}}}", "stages.embed.autoscaling.max (9) is more than topics.partitions (4)")
	f("min over max", "autoscaling: {enabled: true}\nstages: {sink: {autoscaling: {min: 3, max: 2, lag: 10}}}", "stages.sink.autoscaling.min (3) is more than max (2)")

	f("certificates without TLS", "kafka: {tls: {caSecret: {name: ca}}}", "set kafka.tls.enabled")
	f("user without mechanism", "kafka: {sasl: {user: me}}", "kafka.sasl.mechanism is empty")
	f("mechanism without password", "kafka: {sasl: {mechanism: PLAIN, user: me}}", "PLAIN needs kafka.sasl.user and kafka.sasl.passwordSecret.name")
	f("tokens from nowhere", "kafka: {sasl: {mechanism: OAUTHBEARER, user: me}}", "OAUTHBEARER needs")
	f("KEDA with a token's file", "autoscaling: {enabled: true}\nkafka: {sasl: {mechanism: OAUTHBEARER, tokenSecret: {name: token}}}", "KEDA can ask kafka.sasl.tokenUrl")
	f("KEDA with a server's name", "autoscaling: {enabled: true}\nkafka: {tls: {enabled: true, serverName: kafka}}", "KEDA knows no kafka.tls.serverName")

	f("two encoders of one name", "encoders: [{name: '', id: 0123456789ab}, {name: '', id: 0123456789ac}]", `encoders[1].name ("") is another's`)
	f("volume without folder", "encoders: [{name: '', id: 0123456789ab, volume: {emptyDir: {}}}]", "encoders[0] has a volume and no folder")

	f("open and tokens", "api: {open: true}", "leave it out with api.tokensSecret")
	f("open to all pods", "api: {open: true, tokensSecret: {name: ''}}", "networkPolicy.api.from")
	f("issuer without audience", "api: {oidc: {issuer: 'https://login.example'}}", "api.oidc.audience")
	f("ingress without host", "api: {ingress: {enabled: true}}", "api.ingress.host")
	f("ingress without api", "api: {enabled: false, ingress: {enabled: true, host: a.example}}", "api.ingress is enabled and api is not")

	f("Strimzi without cluster", "strimzi: {topics: {enabled: true}}", "strimzi.cluster is empty", "topics.job.enabled to false")
	f("Strimzi's user before the job", "strimzi: {cluster: a, user: {enabled: true}}", "topics.job runs before strimzi.user is there")
	f("Strimzi's user of another name", "topics: {job: {enabled: false}}\nstrimzi: {cluster: a, user: {enabled: true, name: jobs}}", "mechanism: SCRAM-SHA-512, user: jobs")
	f("Strimzi's certificate", "topics: {job: {enabled: false}}\nstrimzi: {cluster: a, user: {enabled: true, authentication: tls}}", "certSecret: {name: jobstrom, cert: user.crt")
	f("Strimzi's replication", "topics: {replication: -1, job: {enabled: false}}\nstrimzi: {cluster: a, topics: {enabled: true}}", "needs topics.replication")

	f("topics declared for nobody", "topics: {job: {enabled: false}, declared: {vacancies.raw: {retention.ms: 60000}}}", "topics.declared is for topics.job")
	f("loss allowed to nobody", "topics: {job: {enabled: false}, allowDataLoss: true}", "topics.allowDataLoss is for topics.job")
	f("loss of something", "topics: {allowDataLoss: vacancies.raw}", "allowDataLoss")
	f("a topic of no settings", "topics: {declared: {vacancies.raw: 7}}", "declared")
	f("a setting that is none", "topics: {declared: {vacancies.raw: {retention.ms: [7]}}}", "declared")
	f("no topic", "topics: {declared: {vacancis.raw: {retention.ms: 60000}}}", "topics.declared: vacancis.raw is no topic of this flow")
	f("a pattern of no topic", "topics: {declared: {vacancis.*: {retention.ms: 60000}}}", "topics.declared: vacancis.* is no topic of this flow")
	f("a topic of another encoder", "topics: {declared: {vacancies.embedded.0123456789ab: {retention.ms: 60000}}}", "vacancies.embedded.0123456789ab is no topic of this flow")
	f("a setting of Kafka's that is not ours", "topics: {declared: {vacancies.raw: {flush.ms: 7}}}", "topics.declared: vacancies.raw: flush.ms cannot be declared: partitions, replication.factor, ")
	f("other partitions", "topics: {declared: {'*': {partitions: '7'}}}", "topics.declared: *: partitions (7) are another number than topics.partitions (12)")
	f("retention in seconds", "topics: {declared: {vacancies.raw: {retention.ms: 3600}}}", "retention.ms")
	f("a policy that is none", "topics: {declared: {vacancies.raw: {cleanup.policy: remove}}}", "cleanup.policy")
	f("as many in sync as there are not", "topics: {declared: {vacancies.raw: {min.insync.replicas: 0}}}", "min.insync.replicas")
	f("ClickHouse made after its tables", "clickhouseInstallation: {enabled: true}", "set clickhouse.job.enabled to false", "clickhouse.passwordSecret.name")
	const cluster = "clickhouse: {job: {enabled: false}, passwordSecret: {name: c}, addresses: [%]}\nclickhouseInstallation: {enabled: true, shards: 2, keeper: [k:2181]}\n"
	f("cluster of nobody's", strings.ReplaceAll(cluster, "%", "a:9000"), "leave them empty, or say clickhouse.cluster: {name: jobstrom, sharded: true, replicated: false}")
	f("cluster of no addresses", "clickhouse: {addresses: [], job: {enabled: false}, passwordSecret: {name: c}, cluster: {name: a, sharded: true}}\nclickhouseInstallation: {enabled: true}", "clickhouse.cluster is of clickhouse.addresses, which are empty")
	f("cluster that nothing lies on", "clickhouse: {cluster: {name: a}}", "clickhouse.cluster.name (a) needs clickhouse.cluster.sharded")
	f("shards of no cluster", "clickhouse: {cluster: {sharded: true}}", "clickhouse.cluster.name is empty")
	f("cluster as a setting", "settings: {clickhouse-cluster: a}", "settings: clickhouse-cluster is set by the chart")
	f("ClickHouse without keeper", "clickhouse: {job: {enabled: false}}\nclickhouseInstallation: {enabled: true, replicas: 2}", "clickhouseInstallation.keeper")

	f("setting that is none", "settings: {comit-interval: 1s}", "settings: jobstrom has no setting comit-interval")
	f("setting of a stage that is none", "stages: {embed: {settings: {thread: 1}}}", "stages.embed.settings: jobstrom has no setting thread")
	f("secret as a setting", "settings: {kafka-password: hunter2}", "kafka-password is a secret")
	f("secret's file as a setting", "api: {settings: {employer-key-file: /a}}", "employer-key-file is a secret")
	f("setting of the chart", "settings: {brokers: [a:1]}", "brokers is set by the chart")
	f("setting's name", "settings: {Log_Level: debug}", "Log_Level")
}

// A refusal shows no value of a secret that was put into the wrong place.
func TestRefusalsHideSecrets(t *testing.T) {
	_, err := template(t, []string{cases(t)["minimal"]}, "settings: {kafka-password: hunter2, clickhouse-password: hunter2}")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}
