{{/*
Metadata and spec of a component's pod. Given (dict "root" $ "component" c). Its labels hold no version: only a change of what runs makes pods anew.
*/}}

{{- define "jobstrom.podLabels" -}}
{{ include "jobstrom.selector" .root }}
app.kubernetes.io/component: {{ .component.name }}
{{- with merge (dict) (default (dict) (default (dict) .component.values.pod).labels) .root.Values.pod.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "jobstrom.podTemplate" -}}
{{- $v := .root.Values -}}
{{- $c := .component -}}
{{- $pod := merge (dict) (deepCopy (default (dict) $c.values.pod)) (deepCopy $v.pod) -}}
{{- $connections := include "jobstrom.connections" . | fromYaml -}}
{{- $encoder := index $v.encoders (int $c.encoder) -}}
{{- $serves := has $c.kind (list "stage" "api" "watch") -}}
{{- $declared := and $v.topics.declared (eq $c.role "topics apply") -}}
{{- $keeps := has $c.kind (list "api" "watch" "trainer" "check") -}}
metadata:
  labels:
    {{- include "jobstrom.podLabels" . | nindent 4 }}
  {{- with $pod.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if not (has $c.kind (list "job" "check")) }}
  serviceAccountName: {{ include "jobstrom.serviceAccount" .root }}
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if has $c.kind (list "trainer" "job" "check") }}
  restartPolicy: Never
  {{- end }}
  terminationGracePeriodSeconds: {{ int $pod.terminationGracePeriodSeconds }}
  {{- with $v.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $pod.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $pod.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and $v.topologySpread.enabled (has $c.kind (list "stage" "api")) }}
  topologySpreadConstraints:
    {{- range $v.topologySpread.keys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "jobstrom.selector" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $c.name }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    {{- with $v.securityContext.runAsUser }}
    runAsUser: {{ int64 . }}
    runAsGroup: {{ int64 . }}
    {{- end }}
    {{- with $v.securityContext.fsGroup }}
    fsGroup: {{ int64 . }}
    {{- end }}
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: jobstrom
      image: {{ include "jobstrom.image" .root }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args:
        {{- toYaml $c.args | nindent 8 }}
        {{- if and (eq $c.kind "stage") (ne $c.stage "sink") }}
        - --slot=$(POD_NAME)
        {{- end }}
      env:
        {{- if eq $c.kind "stage" }}
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- end }}
        {{- range $name, $value := $connections.env }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
      {{- if $serves }}
      ports:
        - name: metrics
          containerPort: 9400
        {{- if eq $c.kind "api" }}
        - name: http
          containerPort: 8080
        {{- end }}
      # At the port of the metrics, which needs no token and answers while slow clients hold the other.
      startupProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: metrics}
        periodSeconds: 5
        timeoutSeconds: 5
      {{- end }}
      {{- if eq $c.kind "api" }}
      lifecycle:
        preStop:
          sleep: {seconds: 5} # until nobody sends it requests any more
      {{- end }}
      {{- with $c.values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        privileged: false
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if $keeps }}
        - name: data
          mountPath: /var/lib/jobstrom
        {{- end }}
        {{- if $connections.files }}
        - name: secrets
          mountPath: /etc/jobstrom/secrets
          readOnly: true
        {{- end }}
        {{- if $declared }}
        - name: topics
          mountPath: /etc/jobstrom/topics
          readOnly: true
        {{- end }}
        {{- if $encoder.volume }}
        - name: encoder
          mountPath: /var/lib/jobstrom/encoders
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 256Mi
    {{- if $keeps }}
    - name: data
      {{- if and $v.data.claim (ne $c.kind "check") }}
      persistentVolumeClaim:
        claimName: {{ $v.data.claim }}
      {{- else }}
      emptyDir:
        sizeLimit: {{ $v.data.sizeLimit }}
      {{- end }}
    {{- end }}
    {{- if $connections.files }}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- range $connections.files }}
          - secret:
              name: {{ .name }}
              items:
                - key: {{ .key }}
                  path: {{ .path }}
          {{- end }}
    {{- end }}
    {{- if $declared }}
    - name: topics
      configMap:
        name: {{ include "jobstrom.fullname" .root }}-topics
    {{- end }}
    {{- if $encoder.volume }}
    - name: encoder
      {{- toYaml $encoder.volume | nindent 6 }}
    {{- end }}
{{- end }}
