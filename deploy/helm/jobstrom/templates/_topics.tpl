{{/* The names of an encoder's topics, those that all encoders share among them. Given (dict "root" $ "encoder" encoder); gives YAML. */}}
{{- define "jobstrom.topicNames" -}}
{{- $names := list -}}
{{- range (.root.Files.Get "files/flow.yaml" | fromYaml).topics }}{{ $names = append $names (replace "ENCODER" ($.encoder.id | trunc 12) .name) }}{{ end -}}
{{- toYaml $names -}}
{{- end }}

{{/*
What is declared of an encoder's topics, as YAML: jobstrom topics apply works on one encoder's, and refuses a name that none of them has.
Given (dict "root" $ "encoder" encoder).
*/}}
{{- define "jobstrom.declared" -}}
{{- $names := include "jobstrom.topicNames" . | fromYamlArray -}}
{{- $ours := dict -}}
{{- range $pattern, $settings := .root.Values.topics.declared -}}
{{- range $names -}}
{{- if or (eq . $pattern) (and (hasSuffix "*" $pattern) (hasPrefix (trimSuffix "*" $pattern) .)) }}{{ $_ := set $ours $pattern $settings }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $ours -}}
{{- end }}
