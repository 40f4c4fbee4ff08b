{{/*
The release's name, followed by the chart's unless it contains it. If Redis has that name too, or if the release is
a number or has dots, which no Service may be, a shorter beginning and a hash stand before the chart's name.
*/}}
{{- define "join-session.fullname" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $name := printf "%s-%s" .Release.Name $chart -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains $chart .Release.Name -}}
{{- $name = .Release.Name -}}
{{- end -}}
{{- $name = $name | trunc 52 | trimSuffix "-" -}}
{{- $taken := and .Values.redis.enabled (eq $name (include "redis.fullname" .Subcharts.redis)) -}}
{{- if and (not .Values.fullnameOverride) (or $taken (regexMatch "^[0-9]+$|[.]" .Release.Name)) -}}
{{- $end := printf "-%s-%s" (.Release.Name | sha256sum | trunc 8) ($chart | trunc 30 | trimSuffix "-") -}}
{{- $front := regexReplaceAll "^([^a-z])" (replace "." "-" .Release.Name) "r${1}" -}}
{{- $name = print ($front | trunc (sub 52 (len $end) | int) | trimSuffix "-") $end -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "join-session.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "join-session.labels" -}}
{{ include "join-session.selectorLabels" . }}
{{ include "join-session.sharedLabels" . }}
{{- end -}}

{{/* Labels of everything; the test pod has them without those that the Services select. */}}
{{- define "join-session.sharedLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: join-session
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "join-session.metadata" -}}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "join-session.labels" . | nindent 2 }}
{{- end -}}

{{/* Annotations of an object: .own before the common ones. */}}
{{- define "join-session.annotations" -}}
{{- with merge (dict) (default dict .own) .root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "join-session.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end -}}

{{- define "join-session.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name | quote }}{{ else }}{{ . | quote }}{{ end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "join-session.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "join-session.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The least number of replicas there will be. */}}
{{- define "join-session.replicas" -}}
{{- if .Values.autoscaling.enabled -}}
{{- .Values.autoscaling.minReplicas -}}
{{- else if .Values.keda.enabled -}}
{{- .Values.keda.minReplicas -}}
{{- else -}}
{{- .Values.replicaCount -}}
{{- end -}}
{{- end -}}

{{/*
The replicas of the Deployment. Under an autoscaler as many as there are, since Helm takes a field that is gone for one
replica; nothing where no cluster can be asked, whose tools have to leave the field alone.
*/}}
{{- define "join-session.deployedReplicas" -}}
{{- if not (or .Values.autoscaling.enabled .Values.keda.enabled) -}}
{{- .Values.replicaCount -}}
{{- else -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "join-session.fullname" .) -}}
{{- .spec.replicas -}}
{{- else -}}
{{- if lookup "v1" "Secret" .Release.Namespace "" -}}
{{- include "join-session.replicas" . | int | max 1 -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The connections that a replica takes, reckoned as app/replica/caps.py does. */}}
{{- define "join-session.maxConnections" -}}
{{- $limit := .Values.config.memoryLimit | default (dig "limits" "memory" "" .Values.resources) -}}
{{- if .Values.config.maxConnections -}}
{{- .Values.config.maxConnections | int -}}
{{- else if $limit -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := kindIs "string" $limit | ternary (regexFind "^[0-9.]+" (toString $limit)) $limit | float64 -}}
{{- $unit := kindIs "string" $limit | ternary (regexFind "[A-Za-z]+$" (toString $limit)) "" -}}
{{- divf (subf (mulf $number (get $units $unit) 0.9) 67108864) 28672 | floor | int64 | max 100 | min 20000 -}}
{{- else -}}
{{- 20000 -}}
{{- end -}}
{{- end -}}

{{/* Whether the ingress sets a cookie for a replica. ingress-nginx does either that or session affinity. */}}
{{- define "join-session.sticky" -}}
{{- $hashes := and (eq .Values.ingress.controller "nginx") (eq .Values.ingress.affinity "session") -}}
{{- and .Values.ingress.enabled .Values.ingress.stickiness.enabled (not .Values.websocketOnly) (ne .Values.ingress.controller "none") (not $hashes) | ternary "true" "" -}}
{{- end -}}

{{/* The files of secrets: name of the setting, Secret and key, as a list. */}}
{{- define "join-session.secretFiles" -}}
{{- $files := list -}}
{{- $own := include "join-session.fullname" . -}}
{{- $isChartsRedis := and .Values.redis.enabled (not .Values.externalRedis.moving) -}}
{{- if and $isChartsRedis .Values.redis.auth.enabled -}}
{{- $files = append $files (dict "setting" "redis-url" "secret" (include "redis.secretName" .Subcharts.redis) "key" "redis-url") -}}
{{- else if and (not $isChartsRedis) .Values.externalRedis.existingSecret -}}
{{- $files = append $files (dict "setting" "redis-url" "secret" .Values.externalRedis.existingSecret "key" .Values.externalRedis.existingSecretKey) -}}
{{- else -}}
{{- $files = append $files (dict "setting" "redis-url" "secret" $own "key" "redis-url") -}}
{{- end -}}
{{- range $name := list "secret" "createKey" "operatorToken" "webhookSecret" -}}
{{- $setting := kebabcase $name -}}
{{- if and $.Values.secrets.existingSecret (get $.Values.secrets.existingSecretKeys $name) -}}
{{- $files = append $files (dict "setting" $setting "secret" $.Values.secrets.existingSecret "key" (get $.Values.secrets.existingSecretKeys $name)) -}}
{{- else if and (not $.Values.secrets.existingSecret) (get $.Values.secrets $name) -}}
{{- $files = append $files (dict "setting" $setting "secret" $own "key" $setting) -}}
{{- end -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{/*
The Secrets that others change, for Reloader. Not the password of the chart's Redis, which has to be changed there first.
*/}}
{{- define "join-session.reloaderAnnotations" -}}
{{- $secrets := list .Values.secrets.existingSecret .Values.externalRedis.existingSecret .Values.externalRedis.tlsSecret .Values.otel.headersSecret | compact | uniq -}}
{{- $annotations := dict -}}
{{- if and .Values.reloader $secrets -}}
{{- $_ := set $annotations "secret.reloader.stakater.com/reload" (join "," $secrets) -}}
{{- end -}}
{{- toJson $annotations -}}
{{- end -}}

{{/* Whether the network policy admits to the public port only those whom somebody has named, as the ingress controller. */}}
{{- define "join-session.onlyIngress" -}}
{{- $open := not (and .Values.networkPolicy.enabled .Values.networkPolicy.ingressFrom) -}}
{{- range .Values.networkPolicy.ingressFrom -}}
{{- if not (or .ipBlock (dig "namespaceSelector" dict .) (dig "podSelector" dict .)) -}}
{{- $open = true -}}
{{- else if hasSuffix "/0" (dig "ipBlock" "cidr" "" .) -}}
{{- $open = true -}}
{{- end -}}
{{- end -}}
{{- if not $open -}}true{{- end -}}
{{- end -}}

{{/* What one would only find out at run time, or never. */}}
{{- define "join-session.check" -}}
{{- $external := or .Values.externalRedis.url .Values.externalRedis.existingSecret -}}
{{- if and .Values.externalRedis.moving (not (and .Values.redis.enabled $external (eq .Values.externalRedis.keyPrefix "js"))) -}}
{{- fail "externalRedis.moving is for a move from the chart's own Redis to an external one: it needs redis.enabled=true, externalRedis.url or externalRedis.existingSecret with both servers, and externalRedis.keyPrefix=js" -}}
{{- end -}}
{{- if and .Values.redis.enabled $external (not .Values.externalRedis.moving) -}}
{{- fail "redis.enabled and externalRedis are both set: the sessions can be in one Redis only. Set redis.enabled=false for the external one, or externalRedis.moving=true while the sessions move to it" -}}
{{- end -}}
{{- if not (or .Values.redis.enabled $external) -}}
{{- fail "no Redis: set redis.enabled=true, externalRedis.url or externalRedis.existingSecret" -}}
{{- end -}}
{{- if .Values.redis.enabled -}}
{{- $redis := include "redis.fullname" .Subcharts.redis -}}
{{- range $end := list "" "-internal" "-test" "-dashboard" -}}
{{- if eq $redis (print (include "join-session.fullname" $) $end) -}}
{{- fail (printf "Redis would have the name %s of another object: change redis.fullnameOverride, redis.nameOverride or fullnameOverride" $redis) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "join-session.selectorLabels" .) (include "redis.selectorLabels" .Subcharts.redis) -}}
{{- fail "nameOverride and the name of the redis chart are the same: the Services would select each other's pods" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.externalRedis.url .Values.externalRedis.existingSecret -}}
{{- fail "externalRedis.url and externalRedis.existingSecret are both set: give one" -}}
{{- end -}}
{{- if and .Values.redis.enabled .Values.externalRedis.keyPrefix (not .Values.externalRedis.moving) -}}
{{- fail "externalRedis.keyPrefix is for an external Redis: that of the chart has no other releases" -}}
{{- end -}}
{{- if and (not .Values.redis.enabled) (not .Values.externalRedis.keyPrefix) -}}
{{- fail (printf "externalRedis.keyPrefix is not set: the names of all keys begin with it, and releases with the same one in one Redis share their sessions. Set it to js if this release has its sessions there already, else to a name of its own, such as %s" (printf "%s-%s" .Release.Namespace .Release.Name | replace "." "-" | trunc 60)) -}}
{{- end -}}
{{- $needed := add .Values.drain.preStopSleepSeconds .Values.drain.seconds 10 | int -}}
{{- if lt (.Values.terminationGracePeriodSeconds | int) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, but drain.preStopSleepSeconds, drain.seconds and 10 seconds to close make %d: clients would be cut off" (.Values.terminationGracePeriodSeconds | int) $needed) -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- fail "autoscaling.enabled and keda.enabled are both set: two would scale against each other" -}}
{{- end -}}
{{- range $name := list "autoscaling" "keda" -}}
{{- $scaling := get $.Values $name -}}
{{- if and $scaling.enabled (gt ($scaling.minReplicas | int) ($scaling.maxReplicas | int)) -}}
{{- fail (printf "%s.minReplicas is more than %s.maxReplicas" $name $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.keda.prometheusAddress) (not .Values.keda.triggers) -}}
{{- fail "keda.enabled without anything to scale on: set keda.prometheusAddress or keda.triggers" -}}
{{- end -}}
{{- $cap := include "join-session.maxConnections" . | int -}}
{{- range $name, $target := dict "autoscaling.connections.target" (and .Values.autoscaling.enabled .Values.autoscaling.connections.enabled .Values.autoscaling.connections.target) "keda.connections" (and .Values.keda.enabled .Values.keda.prometheusAddress .Values.keda.connections) -}}
{{- if and $target (ge (int $target) $cap) -}}
{{- fail (printf "%s is %d, but a replica takes only %d connections (config.maxConnections, or resources.limits.memory): it would refuse clients instead of being helped" $name (int $target) $cap) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both set: everything would be counted twice" -}}
{{- end -}}
{{- if and (not (kindIs "invalid" .Values.podDisruptionBudget.minAvailable)) (not (kindIs "invalid" .Values.podDisruptionBudget.maxUnavailable)) -}}
{{- fail "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set: set the other one to null" -}}
{{- end -}}
{{- $replicas := include "join-session.replicas" . | int -}}
{{- if and .Values.podDisruptionBudget.enabled (gt $replicas 1) -}}
{{- if eq (toString .Values.podDisruptionBudget.maxUnavailable) "0%" -}}
{{- fail "podDisruptionBudget.maxUnavailable is 0%: no node could be drained" -}}
{{- end -}}
{{- with .Values.podDisruptionBudget.minAvailable -}}
{{- /* Kubernetes rounds a percentage up. */ -}}
{{- $available := kindIs "string" . | ternary (div (add (mul (toString . | trimSuffix "%" | int) $replicas) 99) 100) (int .) | int -}}
{{- if ge $available $replicas -}}
{{- fail (printf "podDisruptionBudget.minAvailable is %v of %d replicas: no node could be drained" . $replicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.image.tag .Values.image.digest -}}
{{- fail "image.tag and image.digest are both set: the digest says what runs, whatever the tag. Set image.digest to nothing to run the tag" -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- range $class, $controllers := dict "traefik" (list "traefik") "nginx" (list "nginx") "haproxy" (list "haproxy" "haproxy-ingress") -}}
{{- if and (contains $class $.Values.ingress.className) (not (has $.Values.ingress.controller (append $controllers "none"))) -}}
{{- fail (printf "ingress.className is %s, but ingress.controller is %s, whose annotations mean nothing there: set ingress.controller to %s" $.Values.ingress.className $.Values.ingress.controller (join " or " $controllers)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (le (.Values.ingress.timeoutSeconds | float64) (addf (.Values.config.pingInterval | default 25) (.Values.config.pingTimeout | default 20))) -}}
{{- fail "ingress.timeoutSeconds is not more than config.pingInterval and config.pingTimeout together: the ingress would cut healthy connections" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (eq .Values.ingress.affinity "session") (eq .Values.ingress.controller "traefik") -}}
{{- fail "ingress.affinity is session, but Traefik cannot choose a replica by the hash of a cookie. Set ingress.affinity=replica, which keeps each client on one replica, or use another controller: nginx, haproxy, haproxy-ingress, or Envoy Gateway by httpRoute.affinity=session" -}}
{{- end -}}
{{- if or (include "join-session.sticky" .) (include "join-session.sessionAffinity" .) -}}
{{- $sticky := .Values.ingress.stickiness -}}
{{- if and (eq $sticky.sameSite "none") (not $sticky.secure) -}}
{{- fail "ingress.stickiness.sameSite=none without ingress.stickiness.secure=true: browsers drop such a cookie" -}}
{{- end -}}
{{- $annotations := merge (dict) .Values.ingress.annotations .Values.service.annotations -}}
{{- range $name := list "traefik.ingress.kubernetes.io/service.nativelb" "nginx.ingress.kubernetes.io/service-upstream" "haproxy-ingress.github.io/service-upstream" -}}
{{- if eq (get $annotations $name | toString) "true" -}}
{{- fail (printf "the annotation %s=true lets kube-proxy choose the replica, so that there is no stickiness: remove it, or set ingress.stickiness.enabled=false and ingress.affinity=replica" $name) -}}
{{- end -}}
{{- end -}}
{{- $set := merge (dict) (include "join-session.stickyAnnotations" . | fromJson) (include "join-session.affinityAnnotations" . | fromJson) -}}
{{- range $name, $value := merge (dict) $set.ingress $set.service -}}
{{- if hasKey $annotations $name -}}
{{- fail (printf "the annotation %s is set by ingress.controller=%s: remove it, or set ingress.controller=none to write all of them" $name $.Values.ingress.controller) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.secrets.existingSecret (or .Values.secrets.secret .Values.secrets.createKey .Values.secrets.operatorToken .Values.secrets.webhookSecret) -}}
{{- fail "secrets.existingSecret and a value under secrets are both set: the value would be ignored" -}}
{{- end -}}
{{- if and .Values.secrets.existingSecret (not (compact (values .Values.secrets.existingSecretKeys))) -}}
{{- fail "secrets.existingSecret is set, but none of secrets.existingSecretKeys: name the keys of what the Secret holds" -}}
{{- end -}}
{{- range $name, $least := dict "secret" 32 "operatorToken" 16 "webhookSecret" 32 -}}
{{- $value := get $.Values.secrets $name -}}
{{- /* Some may be lists. */ -}}
{{- range ne $name "operatorToken" | ternary (regexSplit "[,\n]" (trim $value) -1) (list $value) -}}
{{- if and $value (lt (len (trim .)) $least) -}}
{{- fail (printf "secrets.%s has %d characters: it needs at least %d, as of `openssl rand -hex 32`" $name (len (trim .)) $least) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (not (hasKey .Values.config "trustedProxies")) (not (include "join-session.onlyIngress" .)) -}}
{{- fail "config.trustedProxies is not set, and whoever reaches the pods could say in X-Forwarded-For to be anybody. Set config.trustedProxies to the networks of the ingress controller's pods, or let nobody else in: networkPolicy.enabled=true with networkPolicy.ingressFrom" -}}
{{- end -}}
{{- end -}}
