{{/*
What one component is told of others: its environment, by name, and the files of Secrets behind it. Given (dict "root" $ "component" c); gives YAML with env and files.
A secret is a file, never a variable: Kafka's are read again for each connection, and an environment is shown to whoever may look at a pod.
*/}}
{{- define "jobstrom.connections" -}}
{{- $v := .root.Values -}}
{{- $needs := .component.needs -}}
{{- $encoder := index $v.encoders (int .component.encoder) -}}
{{- $dir := "/etc/jobstrom/secrets" -}}
{{- $env := dict -}}
{{- if has .component.kind (list "api" "watch" "trainer" "check") }}{{ $_ := set $env "JOBSTROM_DATA" "/var/lib/jobstrom" }}{{ end -}}
{{- $files := list -}}
{{- if $encoder.folder }}{{ $_ := set $env "JOBSTROM_ENCODER" $encoder.folder }}{{ end -}}
{{- $tls := list -}}
{{- if has "kafka" $needs -}}
{{- $_ := set $env "JOBSTROM_BROKERS" (join "," $v.kafka.brokers) -}}
{{- $_ := set $env "JOBSTROM_PARTITIONS" (int $v.topics.partitions | toString) -}}
{{- $_ := set $env "JOBSTROM_REPLICATION" (int $v.topics.replication | toString) -}}
{{- if $v.kafka.tls.enabled -}}
{{- $_ := set $env "JOBSTROM_KAFKA_TLS" "true" -}}
{{- $tls = append $tls (dict "env" "KAFKA" "dir" "kafka" "values" $v.kafka.tls) -}}
{{- end -}}
{{- with $v.kafka.sasl -}}
{{- if .mechanism -}}
{{- $_ := set $env "JOBSTROM_KAFKA_SASL" .mechanism -}}
{{- if .user }}{{ $_ := set $env "JOBSTROM_KAFKA_USER" .user }}{{ end -}}
{{- if .tokenUrl }}{{ $_ := set $env "JOBSTROM_KAFKA_TOKEN_URL" .tokenUrl }}{{ end -}}
{{- if .scopes }}{{ $_ := set $env "JOBSTROM_KAFKA_SCOPES" (join "," .scopes) }}{{ end -}}
{{- if .passwordSecret.name -}}
{{- $_ := set $env "JOBSTROM_KAFKA_PASSWORD_FILE" (printf "%s/kafka/password" $dir) -}}
{{- $files = append $files (dict "name" .passwordSecret.name "key" .passwordSecret.key "path" "kafka/password") -}}
{{- end -}}
{{- if .tokenSecret.name -}}
{{- $_ := set $env "JOBSTROM_KAFKA_TOKEN_FILE" (printf "%s/kafka/token" $dir) -}}
{{- $files = append $files (dict "name" .tokenSecret.name "key" .tokenSecret.key "path" "kafka/token") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if has "clickhouse" $needs -}}
{{- with $v.clickhouse -}}
{{- $_ := set $env "JOBSTROM_CLICKHOUSE" (include "jobstrom.clickhouse" $.root) -}}
{{- $_ := set $env "JOBSTROM_CLICKHOUSE_DATABASE" .database -}}
{{- $_ := set $env "JOBSTROM_CLICKHOUSE_USER" .user -}}
{{- if .retention }}{{ $_ := set $env "JOBSTROM_RETENTION" .retention }}{{ end -}}
{{- $cluster := .cluster -}}
{{- with $v.clickhouseInstallation -}}
{{- if and .enabled (not $v.clickhouse.addresses) -}}
{{- $sharded := gt (int .shards) 1 -}}
{{- $replicated := gt (int .replicas) 1 -}}
{{- $cluster = dict "name" (ternary .cluster "" (or $sharded $replicated)) "sharded" $sharded "replicated" $replicated -}}
{{- end -}}
{{- end -}}
{{- if $cluster.name }}{{ $_ := set $env "JOBSTROM_CLICKHOUSE_CLUSTER" $cluster.name }}{{ end -}}
{{- if $cluster.sharded }}{{ $_ := set $env "JOBSTROM_CLICKHOUSE_SHARDED" "true" }}{{ end -}}
{{- if $cluster.replicated }}{{ $_ := set $env "JOBSTROM_CLICKHOUSE_REPLICATED" "true" }}{{ end -}}
{{- if .tls.enabled -}}
{{- $_ := set $env "JOBSTROM_CLICKHOUSE_TLS" "true" -}}
{{- $tls = append $tls (dict "env" "CLICKHOUSE" "dir" "clickhouse" "values" .tls) -}}
{{- end -}}
{{- if .passwordSecret.name -}}
{{- $_ := set $env "JOBSTROM_CLICKHOUSE_PASSWORD_FILE" (printf "%s/clickhouse/password" $dir) -}}
{{- $files = append $files (dict "name" .passwordSecret.name "key" .passwordSecret.key "path" "clickhouse/password") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (has "registry" $needs) $v.schemaRegistry.urls -}}
{{- with $v.schemaRegistry -}}
{{- $_ := set $env "JOBSTROM_SCHEMA_REGISTRY" (join "," .urls) -}}
{{- if .user }}{{ $_ := set $env "JOBSTROM_SCHEMA_REGISTRY_USER" .user }}{{ end -}}
{{- $tls = append $tls (dict "env" "SCHEMA_REGISTRY" "dir" "schema-registry" "values" .) -}}
{{- if .passwordSecret.name -}}
{{- $_ := set $env "JOBSTROM_SCHEMA_REGISTRY_PASSWORD_FILE" (printf "%s/schema-registry/password" $dir) -}}
{{- $files = append $files (dict "name" .passwordSecret.name "key" .passwordSecret.key "path" "schema-registry/password") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $tls -}}
{{- if .values.caSecret.name -}}
{{- $_ := set $env (printf "JOBSTROM_%s_CA" .env) (printf "%s/%s/ca.crt" $dir .dir) -}}
{{- $files = append $files (dict "name" .values.caSecret.name "key" .values.caSecret.key "path" (printf "%s/ca.crt" .dir)) -}}
{{- end -}}
{{- if .values.certSecret.name -}}
{{- $_ := set $env (printf "JOBSTROM_%s_CERT" .env) (printf "%s/%s/tls.crt" $dir .dir) -}}
{{- $_ := set $env (printf "JOBSTROM_%s_KEY" .env) (printf "%s/%s/tls.key" $dir .dir) -}}
{{- $files = append $files (dict "name" .values.certSecret.name "key" .values.certSecret.cert "path" (printf "%s/tls.crt" .dir)) -}}
{{- $files = append $files (dict "name" .values.certSecret.name "key" .values.certSecret.key "path" (printf "%s/tls.key" .dir)) -}}
{{- end -}}
{{- if .values.serverName }}{{ $_ := set $env (printf "JOBSTROM_%s_SERVER_NAME" .env) .values.serverName }}{{ end -}}
{{- end -}}
{{- if has "employer" $needs -}}
{{- $_ := set $env "JOBSTROM_EMPLOYER_KEY_FILE" (printf "%s/employer-key" $dir) -}}
{{- $files = append $files (dict "name" $v.employerKeySecret.name "key" $v.employerKeySecret.key "path" "employer-key") -}}
{{- end -}}
{{- if and (has "api" $needs) $v.api.enabled -}}
{{- $_ := set $env "JOBSTROM_HTTP" ":8080" -}}
{{- with $v.api -}}
{{- if .tokensSecret.name -}}
{{- $_ := set $env "JOBSTROM_TOKENS" (printf "%s/tokens.yaml" $dir) -}}
{{- $files = append $files (dict "name" .tokensSecret.name "key" .tokensSecret.key "path" "tokens.yaml") -}}
{{- end -}}
{{- if .oidc.issuer -}}
{{- $_ := set $env "JOBSTROM_OIDC_ISSUER" .oidc.issuer -}}
{{- $_ := set $env "JOBSTROM_OIDC_AUDIENCE" .oidc.audience -}}
{{- $_ := set $env "JOBSTROM_OIDC_SCOPES_CLAIM" .oidc.scopesClaim -}}
{{- if .oidc.caSecret.name -}}
{{- $_ := set $env "JOBSTROM_OIDC_CA" (printf "%s/oidc/ca.crt" $dir) -}}
{{- $files = append $files (dict "name" .oidc.caSecret.name "key" .oidc.caSecret.key "path" "oidc/ca.crt") -}}
{{- end -}}
{{- end -}}
{{- if .open }}{{ $_ := set $env "JOBSTROM_HTTP_OPEN" "true" }}{{ end -}}
{{- if .hosts }}{{ $_ := set $env "JOBSTROM_HTTP_HOSTS" (join "," .hosts) }}{{ end -}}
{{- if .tlsSecret.name -}}
{{- $_ := set $env "JOBSTROM_HTTP_CERT" (printf "%s/http/tls.crt" $dir) -}}
{{- $_ := set $env "JOBSTROM_HTTP_KEY" (printf "%s/http/tls.key" $dir) -}}
{{- $files = append $files (dict "name" .tlsSecret.name "key" .tlsSecret.cert "path" "http/tls.crt") -}}
{{- $files = append $files (dict "name" .tlsSecret.name "key" .tlsSecret.key "path" "http/tls.key") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if has "webhook" $needs -}}
{{- with $v.watch -}}
{{- if .webhookSecret.name -}}
{{- $_ := set $env "JOBSTROM_DRIFT_WEBHOOK_FILE" (printf "%s/drift-webhook" $dir) -}}
{{- $files = append $files (dict "name" .webhookSecret.name "key" .webhookSecret.key "path" "drift-webhook") -}}
{{- end -}}
{{- if .webhookKeySecret.name -}}
{{- $_ := set $env "JOBSTROM_DRIFT_WEBHOOK_KEY_FILE" (printf "%s/drift-webhook-key" $dir) -}}
{{- $files = append $files (dict "name" .webhookKeySecret.name "key" .webhookKeySecret.key "path" "drift-webhook-key") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if has .component.kind (list "stage" "api" "watch") }}{{ $_ := set $env "JOBSTROM_METRICS_ADDRESS" ":9400" }}{{ end -}}
{{- $settings := dict -}}
{{- range list $v.settings (default (dict) $encoder.settings) (default (dict) .component.values.settings) -}}
{{- range $name, $value := . }}{{ $_ := set $settings $name $value }}{{ end -}}
{{- end -}}
{{- range $name, $value := $settings -}}
{{- $text := toString $value -}}
{{- if kindIs "slice" $value }}{{ $text = join "," $value }}{{ end -}}
{{- if kindIs "float64" $value }}{{ if eq (floor $value) $value }}{{ $text = int64 $value | toString }}{{ end }}{{ end -}}
{{- $_ := set $env (printf "JOBSTROM_%s" ($name | upper | replace "-" "_")) $text -}}
{{- end -}}
{{- dict "env" $env "files" $files | toYaml -}}
{{- end }}

{{/* Settings that the chart makes itself of values with a place of their own. */}}
{{- define "jobstrom.ownSettings" -}}
brokers partitions replication kafka-tls kafka-ca kafka-cert kafka-key kafka-server-name kafka-sasl kafka-user kafka-token-url kafka-scopes
clickhouse clickhouse-cluster clickhouse-sharded clickhouse-replicated clickhouse-database clickhouse-user clickhouse-tls clickhouse-ca clickhouse-cert clickhouse-key clickhouse-server-name retention
schema-registry schema-registry-user schema-registry-ca schema-registry-cert schema-registry-key schema-registry-server-name
data encoder metrics-address http http-open http-hosts http-cert http-key tokens oidc-issuer oidc-audience oidc-scopes-claim oidc-ca
{{- end }}

{{/*
The addresses of ClickHouse: those given, or those of the servers that this release has made. Several are named one by one, all pods in the same order, with the
operator's service of each: the service of all may lead a client to any, and replicas learn of rows a moment later.
*/}}
{{- define "jobstrom.clickhouse" -}}
{{- $name := include "jobstrom.fullname" . -}}
{{- $installation := .Values.clickhouseInstallation -}}
{{- $servers := list -}}
{{- range $shard := until (int $installation.shards) -}}
{{- range $replica := until (int $installation.replicas) -}}
{{- $servers = append $servers (printf "chi-%s-%s-%d-%d:9000" $name $installation.cluster $shard $replica) -}}
{{- end -}}
{{- end -}}
{{- if .Values.clickhouse.addresses -}}
{{- join "," .Values.clickhouse.addresses -}}
{{- else if gt (len $servers) 1 -}}
{{- join "," $servers -}}
{{- else -}}
clickhouse-{{ $name }}:9000
{{- end -}}
{{- end }}
