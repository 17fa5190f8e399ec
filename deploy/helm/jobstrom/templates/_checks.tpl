{{/* What the schema cannot say of values: every violation at once, with what to do. */}}
{{- define "jobstrom.checks" -}}
{{- $v := .Values -}}
{{- $wrong := list -}}

{{- if not $v.kafka.brokers }}{{ $wrong = append $wrong "kafka.brokers is empty: name the brokers, like [kafka-1:9092]" }}{{ end -}}
{{- if not (or $v.clickhouse.addresses $v.clickhouseInstallation.enabled) }}{{ $wrong = append $wrong "clickhouse.addresses is empty: name a ClickHouse, like [clickhouse:9000], or let clickhouseInstallation make one" }}{{ end -}}
{{- if not $v.employerKeySecret.name }}{{ $wrong = append $wrong "employerKeySecret.name is empty: name the Secret that holds the key of the employers' hash (kubectl create secret generic jobstrom-employer-key --from-literal=employer-key=…)" }}{{ end -}}

{{- range $name, $tls := dict "kafka" $v.kafka.tls "clickhouse" $v.clickhouse.tls -}}
{{- if and (not $tls.enabled) (or $tls.caSecret.name $tls.certSecret.name $tls.serverName) }}{{ $wrong = append $wrong (printf "%s.tls has certificates but is not enabled: set %s.tls.enabled" $name $name) }}{{ end -}}
{{- end -}}
{{- with $v.kafka.sasl -}}
{{- $password := and .user .passwordSecret.name -}}
{{- if not .mechanism -}}
{{- if or .user .passwordSecret.name .tokenUrl .tokenSecret.name }}{{ $wrong = append $wrong "kafka.sasl.mechanism is empty, but a user or a token is given: set PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER" }}{{ end -}}
{{- else if ne .mechanism "OAUTHBEARER" -}}
{{- if not $password }}{{ $wrong = append $wrong (printf "kafka.sasl.mechanism %s needs kafka.sasl.user and kafka.sasl.passwordSecret.name" .mechanism) }}{{ end -}}
{{- else if not (or .tokenSecret.name (and .tokenUrl $password)) -}}
{{- $wrong = append $wrong "kafka.sasl.mechanism OAUTHBEARER needs kafka.sasl.tokenSecret.name, or tokenUrl with user and passwordSecret.name" -}}
{{- end -}}
{{- end -}}

{{- $partitions := int $v.topics.partitions -}}
{{- range $name := list "extract" "embed" "classify" "sink" -}}
{{- $stage := get $v.stages $name -}}
{{- if $v.autoscaling.enabled -}}
{{- if gt (int $stage.autoscaling.max) $partitions }}{{ $wrong = append $wrong (printf "stages.%s.autoscaling.max (%d) is more than topics.partitions (%d): the others would have nothing to read" $name (int $stage.autoscaling.max) $partitions) }}{{ end -}}
{{- if gt (int $stage.autoscaling.min) (int $stage.autoscaling.max) }}{{ $wrong = append $wrong (printf "stages.%s.autoscaling.min (%d) is more than max (%d)" $name (int $stage.autoscaling.min) (int $stage.autoscaling.max)) }}{{ end -}}
{{- else if gt (int $stage.replicas) $partitions -}}
{{- $wrong = append $wrong (printf "stages.%s.replicas (%d) is more than topics.partitions (%d): the others would have nothing to read" $name (int $stage.replicas) $partitions) -}}
{{- end -}}
{{- end -}}
{{- if $v.autoscaling.enabled -}}
{{- if and (eq $v.kafka.sasl.mechanism "OAUTHBEARER") (not $v.kafka.sasl.tokenUrl) }}{{ $wrong = append $wrong "autoscaling: KEDA can ask kafka.sasl.tokenUrl for tokens, and not read kafka.sasl.tokenSecret: set the former, or autoscaling.enabled to false" }}{{ end -}}
{{- if $v.kafka.tls.serverName }}{{ $wrong = append $wrong "autoscaling: KEDA knows no kafka.tls.serverName: name brokers by what their certificate is for, or set autoscaling.enabled to false" }}{{ end -}}
{{- end -}}

{{- $names := dict -}}
{{- range $at, $encoder := $v.encoders -}}
{{- if hasKey $names $encoder.name -}}
{{- $wrong = append $wrong (printf "encoders[%d].name (%q) is another's, too: each needs a name of its own" $at $encoder.name) -}}
{{- end -}}
{{- $_ := set $names $encoder.name $at -}}
{{- if and $encoder.volume (not $encoder.folder) }}{{ $wrong = append $wrong (printf "encoders[%d] has a volume and no folder: say where the encoder lies, below /var/lib/jobstrom/encoders" $at) }}{{ end -}}
{{- end -}}

{{- if $v.api.enabled -}}
{{- with $v.api -}}
{{- $asks := or .tokensSecret.name .oidc.issuer -}}
{{- if and .open $asks }}{{ $wrong = append $wrong "api.open lets everybody in: leave it out with api.tokensSecret or api.oidc" }}{{ end -}}
{{- if not (or .open $asks) }}{{ $wrong = append $wrong "api: say who is let in: api.tokensSecret.name (jobstrom tokens new makes the file), api.oidc.issuer, or api.open where a proxy in front authenticates" }}{{ end -}}
{{- if and .open $v.networkPolicy.enabled (not $v.networkPolicy.api.from) }}{{ $wrong = append $wrong "api.open lets everybody in who reaches it: say in networkPolicy.api.from who that is" }}{{ end -}}
{{- if and .oidc.issuer (not .oidc.audience) }}{{ $wrong = append $wrong "api.oidc.issuer needs api.oidc.audience: what its tokens must be for" }}{{ end -}}
{{- if and .ingress.enabled (not .ingress.host) }}{{ $wrong = append $wrong "api.ingress needs api.ingress.host" }}{{ end -}}
{{- end -}}
{{- else if $v.api.ingress.enabled -}}
{{- $wrong = append $wrong "api.ingress is enabled and api is not" -}}
{{- end -}}

{{- $flow := .Files.Get "files/flow.yaml" | fromYaml -}}
{{- with $v.topics -}}
{{- if and .declared (not .job.enabled) }}{{ $wrong = append $wrong "topics.declared is for topics.job, which is not enabled: enable it, or declare the topics where they are made" }}{{ end -}}
{{- if and .allowDataLoss (not .job.enabled) }}{{ $wrong = append $wrong "topics.allowDataLoss is for topics.job, which is not enabled" }}{{ end -}}
{{- $ours := dict -}}
{{- range $v.encoders }}{{ $ours = merge $ours (include "jobstrom.declared" (dict "root" $ "encoder" .) | fromYaml) }}{{ end -}}
{{- $fixed := list -}}
{{- range $flow.topics }}{{ if .partitions }}{{ $fixed = append $fixed .name }}{{ end }}{{ end -}}
{{- range $topic, $settings := .declared -}}
{{- if not (hasKey $ours $topic) }}{{ $wrong = append $wrong (printf "topics.declared: %s is no topic of this flow" $topic) }}{{ end -}}
{{- range $name, $value := $settings -}}
{{- if not (has $name $flow.declarable) -}}
{{- $wrong = append $wrong (printf "topics.declared: %s: %s cannot be declared: %s can" $topic $name (join ", " $flow.declarable)) -}}
{{- else if and (eq $name "partitions") (ne (int $value) $partitions) (not (has $topic $fixed)) -}}
{{- $wrong = append $wrong (printf "topics.declared: %s: partitions (%d) are another number than topics.partitions (%d), which all parts go by" $topic (int $value) $partitions) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- with $v.strimzi -}}
{{- if and (or .topics.enabled .user.enabled) (not .cluster) }}{{ $wrong = append $wrong "strimzi.cluster is empty: name the Kafka resource" }}{{ end -}}
{{- if and .topics.enabled $v.topics.job.enabled }}{{ $wrong = append $wrong "strimzi.topics and topics.job would both make the topics: set topics.job.enabled to false" }}{{ end -}}
{{- if and .topics.enabled (lt (int $v.topics.replication) 1) }}{{ $wrong = append $wrong "strimzi.topics needs topics.replication" }}{{ end -}}
{{- if and .user.enabled $v.topics.job.enabled }}{{ $wrong = append $wrong "topics.job runs before strimzi.user is there: set topics.job.enabled to false and strimzi.topics.enabled to true" }}{{ end -}}
{{- if .user.enabled -}}
{{- if and (eq .user.authentication "scram-sha-512") (or (ne $v.kafka.sasl.mechanism "SCRAM-SHA-512") (ne $v.kafka.sasl.user .user.name) (ne $v.kafka.sasl.passwordSecret.name .user.name)) -}}
{{- $wrong = append $wrong (printf "strimzi.user with scram-sha-512 needs kafka.sasl: {mechanism: SCRAM-SHA-512, user: %s, passwordSecret: {name: %s, key: password}}" .user.name .user.name) -}}
{{- end -}}
{{- if and (eq .user.authentication "tls") (or (not $v.kafka.tls.enabled) (ne $v.kafka.tls.certSecret.name .user.name)) -}}
{{- $wrong = append $wrong (printf "strimzi.user with tls needs kafka.tls: {enabled: true, certSecret: {name: %s, cert: user.crt, key: user.key}}" .user.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- with $v.clickhouse.cluster -}}
{{- if and .name (not (or .sharded .replicated)) }}{{ $wrong = append $wrong (printf "clickhouse.cluster.name (%s) needs clickhouse.cluster.sharded, clickhouse.cluster.replicated or both: how the tables lie on it" .name) }}{{ end -}}
{{- if and (not .name) (or .sharded .replicated) }}{{ $wrong = append $wrong "clickhouse.cluster.name is empty: name a cluster of ClickHouse's remote_servers" }}{{ end -}}
{{- if and .name (not $v.clickhouse.addresses) }}{{ $wrong = append $wrong "clickhouse.cluster is of clickhouse.addresses, which are empty: the cluster of clickhouseInstallation is known" }}{{ end -}}
{{- end -}}

{{- with $v.clickhouseInstallation -}}
{{- if .enabled -}}
{{- $sharded := gt (int .shards) 1 -}}
{{- $replicated := gt (int .replicas) 1 -}}
{{- if and $v.clickhouse.addresses (not $v.clickhouse.cluster.name) (or $sharded $replicated) -}}
{{- $wrong = append $wrong (printf "clickhouseInstallation is a cluster, and clickhouse.addresses may be of another: leave them empty, or say clickhouse.cluster: {name: %s, sharded: %t, replicated: %t}" .cluster $sharded $replicated) -}}
{{- end -}}
{{- if $v.clickhouse.job.enabled }}{{ $wrong = append $wrong "clickhouse.job runs before clickhouseInstallation is there: set clickhouse.job.enabled to false, the sink makes the tables" }}{{ end -}}
{{- if not $v.clickhouse.passwordSecret.name }}{{ $wrong = append $wrong "clickhouseInstallation needs clickhouse.passwordSecret.name, for its user" }}{{ end -}}
{{- if and (or $sharded $replicated) (not .keeper) }}{{ $wrong = append $wrong "clickhouseInstallation with more than one replica or shard needs clickhouseInstallation.keeper" }}{{ end -}}
{{- if $v.clickhouse.tls.enabled }}{{ $wrong = append $wrong "clickhouseInstallation serves no TLS: set clickhouse.tls.enabled to false" }}{{ end -}}
{{- end -}}
{{- end -}}

{{- $own := include "jobstrom.ownSettings" . | replace "\n" " " | splitList " " -}}
{{- $places := dict "settings" $v.settings "api.settings" $v.api.settings "watch.settings" $v.watch.settings "trainer.settings" $v.trainer.settings -}}
{{- range $name, $stage := $v.stages }}{{ $_ := set $places (printf "stages.%s.settings" $name) $stage.settings }}{{ end -}}
{{- range $at, $encoder := $v.encoders }}{{ $_ := set $places (printf "encoders[%d].settings" $at) (default (dict) $encoder.settings) }}{{ end -}}
{{- range $place, $settings := $places -}}
{{- range $name, $_ := $settings -}}
{{- if or (has $name $flow.secrets) (has (trimSuffix "-file" $name) $flow.secrets) -}}
{{- $wrong = append $wrong (printf "%s: %s is a secret, which does not belong here: name the Secret that holds it in the value made for it" $place $name) -}}
{{- else if has $name $own -}}
{{- $wrong = append $wrong (printf "%s: %s is set by the chart, from a value made for it" $place $name) -}}
{{- else if not (has $name $flow.settings) -}}
{{- $wrong = append $wrong (printf "%s: jobstrom has no setting %s (jobstrom --help lists them)" $place $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if $wrong }}{{ fail (printf "checking the values:\n- %s" (join "\n- " $wrong)) }}{{ end -}}
{{- end }}
