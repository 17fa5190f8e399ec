{{/* Names and labels. Everything that is made is called RELEASE-PART, short enough for what Kubernetes puts behind it. */}}

{{- define "jobstrom.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-jobstrom" .Release.Name) (contains "jobstrom" .Release.Name) -}}
{{- end -}}
{{- $name | trunc 31 | trimSuffix "-" -}}
{{- end }}

{{- define "jobstrom.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "jobstrom.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end -}}
{{- end }}

{{- define "jobstrom.image" -}}
{{- $i := .Values.image -}}
{{- if $i.digest }}{{ $i.repository }}@{{ $i.digest }}{{ else }}{{ $i.repository }}:{{ default .Chart.AppVersion $i.tag }}{{ end -}}
{{- end }}

{{- define "jobstrom.selector" -}}
app.kubernetes.io/name: jobstrom
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "jobstrom.labels" -}}
{{ include "jobstrom.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The port of host:port, or of a URL. */}}
{{- define "jobstrom.port" -}}
{{- $address := . -}}
{{- $default := "" -}}
{{- if contains "://" . -}}
{{- $url := urlParse . -}}
{{- $address = $url.host -}}
{{- $default = ternary "443" "80" (eq $url.scheme "https") -}}
{{- end -}}
{{- if regexMatch ":[0-9]+$" $address }}{{ regexFind "[0-9]+$" $address }}{{ else }}{{ $default }}{{ end -}}
{{- end }}
