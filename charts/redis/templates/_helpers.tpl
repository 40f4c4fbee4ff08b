{{/*
The release's name, followed by the chart's unless it contains it. If the release is a number or has dots, which no
Service may be, a shorter beginning and a hash stand before the chart's name.
*/}}
{{- define "redis.fullname" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $name := printf "%s-%s" .Release.Name $chart -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains $chart .Release.Name -}}
{{- $name = .Release.Name -}}
{{- end -}}
{{- $name = $name | trunc 52 | trimSuffix "-" -}}
{{- if and (not .Values.fullnameOverride) (regexMatch "^[0-9]+$|[.]" .Release.Name) -}}
{{- $end := printf "-%s-%s" (.Release.Name | sha256sum | trunc 8) ($chart | trunc 30 | trimSuffix "-") -}}
{{- $front := regexReplaceAll "^([^a-z])" (replace "." "-" .Release.Name) "r${1}" -}}
{{- $name = print ($front | trunc (sub 52 (len $end) | int) | trimSuffix "-") $end -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "redis.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "redis.labels" -}}
{{ include "redis.selectorLabels" . }}
{{ include "redis.sharedLabels" . }}
{{- end -}}

{{/* Labels of everything; the pods of jobs have them without those that the Service selects. */}}
{{- define "redis.sharedLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: store
app.kubernetes.io/part-of: join-session
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "redis.metadata" -}}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "redis.labels" . | nindent 2 }}
{{- end -}}

{{/* Annotations of an object: .own before the common ones. */}}
{{- define "redis.annotations" -}}
{{- with merge (dict) (default dict .own) .root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "redis.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end -}}

{{- define "redis.exporterImage" -}}
{{- with .Values.metrics.image -}}
{{- $registry := default .registry $.Values.global.imageRegistry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "redis.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name | quote }}{{ else }}{{ . | quote }}{{ end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "redis.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "redis.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the keys redis-password and redis-url. */}}
{{- define "redis.secretName" -}}
{{- default (include "redis.fullname" .) .Values.auth.existingSecret -}}
{{- end -}}

{{/* The Secret with the password that the release is about to have. */}}
{{- define "redis.newPasswordName" -}}
{{- default (printf "%s-new" (include "redis.fullname" .)) .Values.auth.existingSecret -}}
{{- end -}}

{{/* The label by which the network policy knows clients. */}}
{{- define "redis.clientLabel" -}}
{{- include "redis.fullname" . }}-client
{{- end -}}

{{/* The label of the jobs' pods. */}}
{{- define "redis.jobLabel" -}}
{{- include "redis.fullname" . }}-job
{{- end -}}

{{/* 60 % of the memory limit in MiB, unless said otherwise. */}}
{{- define "redis.maxmemory" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- if .Values.maxmemory -}}
{{- .Values.maxmemory -}}
{{- else if regexMatch "^[0-9]+Mi$" $limit -}}
{{- div (mul (trimSuffix "Mi" $limit | int64) 60) 100 }}mb
{{- else if regexMatch "^[0-9]+Gi$" $limit -}}
{{- div (mul (trimSuffix "Gi" $limit | int64) 61440) 100 }}mb
{{- else -}}
{{- fail "redis: maxmemory cannot be derived: set redis.maxmemory, or redis.resources.limits.memory in Mi or Gi" -}}
{{- end -}}
{{- end -}}
