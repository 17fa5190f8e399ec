{{/*
The list of what runs, as YAML. Each has a
  name      of its part of the release, which is also its label app.kubernetes.io/component
  kind      stage, api, watch, trainer, job or check
  role      whose rights it needs on Kafka (files/flow.yaml)
  args      of jobstrom
  needs     what it connects to and is given secrets of: kafka, clickhouse, registry, employer, api, webhook
  encoder   of encoders, by its place
  values    of values.yaml
*/}}
{{- define "jobstrom.components" -}}
{{- $v := .Values -}}
{{- $all := list -}}
{{- $stage := dict "name" "extract" "kind" "stage" "stage" "extract" "role" "run extract" "args" (list "run" "extract") "needs" (list "kafka" "registry" "employer") "encoder" 0 "values" $v.stages.extract -}}
{{- $all = append $all $stage -}}
{{- range $at, $encoder := $v.encoders -}}
{{- $suffix := ternary (printf "-%s" $encoder.name) "" (ne $encoder.name "") -}}
{{- range $name := list "embed" "classify" "sink" -}}
{{- $values := get $v.stages $name -}}
{{- $needs := list "kafka" "registry" -}}
{{- $reuse := false -}}
{{- range list $v.settings (default (dict) $encoder.settings) $values.settings }}{{ if hasKey . "embed-reuse" }}{{ $reuse = get . "embed-reuse" }}{{ end }}{{ end -}}
{{- if or (eq $name "sink") (and (eq $name "embed") $reuse) }}{{ $needs = append $needs "clickhouse" }}{{ end -}}
{{- $all = append $all (dict "name" (printf "%s%s" $name $suffix) "kind" "stage" "stage" $name "role" (printf "run %s" $name) "args" (list "run" $name) "needs" $needs "encoder" $at "values" $values) -}}
{{- end -}}
{{- end -}}
{{- if $v.api.enabled -}}
{{- $all = append $all (dict "name" "api" "kind" "api" "role" "serve" "args" (list "serve") "needs" (list "kafka" "clickhouse" "registry" "employer" "api") "encoder" 0 "values" $v.api) -}}
{{- end -}}
{{- if $v.watch.enabled -}}
{{- $all = append $all (dict "name" "watch" "kind" "watch" "role" "drift watch" "args" (list "drift" "watch") "needs" (list "kafka" "clickhouse" "registry" "webhook") "encoder" 0 "values" $v.watch) -}}
{{- end -}}
{{- if $v.trainer.enabled -}}
{{- $all = append $all (dict "name" "trainer" "kind" "trainer" "role" "train" "args" (concat (list "train") $v.trainer.args) "needs" (list "kafka" "clickhouse" "registry") "encoder" 0 "values" $v.trainer) -}}
{{- end -}}
{{- if $v.topics.job.enabled -}}
{{- $loss := ternary (list "--allow-data-loss") list $v.topics.allowDataLoss -}}
{{- range $at, $encoder := $v.encoders -}}
{{- $suffix := ternary (printf "-%s" $encoder.name) "" (ne $encoder.name "") -}}
{{- $file := ternary (list (printf "--file=/etc/jobstrom/topics/topics%s.yaml" $suffix)) list (not (empty $v.topics.declared)) -}}
{{- $all = append $all (dict "name" (printf "topics%s" $suffix) "kind" "job" "role" "topics apply" "args" (concat (list "topics" "apply") $file $loss) "needs" (list "kafka") "encoder" $at "values" $v.topics.job) -}}
{{- end -}}
{{- end -}}
{{- if $v.clickhouse.job.enabled -}}
{{- $all = append $all (dict "name" "warehouse" "kind" "job" "role" "" "args" (list "warehouse" "migrate") "needs" (list "clickhouse") "encoder" 0 "values" $v.clickhouse.job) -}}
{{- end -}}
{{- $all = append $all (dict "name" "check" "kind" "check" "role" "" "args" (list "check") "needs" (list "kafka" "clickhouse" "registry" "employer" "api") "encoder" 0 "values" $v.api) -}}
{{- toYaml $all -}}
{{- end }}
