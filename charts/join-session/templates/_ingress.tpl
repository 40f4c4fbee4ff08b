{{/*
Stickiness as each controller wants it: some read the Ingress, some the Service and ignore it on the Ingress.
The result is JSON: {"ingress": {...}, "service": {...}}.
*/}}
{{- define "join-session.stickyAnnotations" -}}
{{- $ingress := dict -}}
{{- $service := dict -}}
{{- if include "join-session.sticky" . -}}
{{- $sticky := .Values.ingress.stickiness -}}
{{- $secure := $sticky.secure | toString -}}
{{- if eq .Values.ingress.controller "traefik" -}}
{{- $prefix := "traefik.ingress.kubernetes.io/service.sticky.cookie" -}}
{{- $_ := set $service $prefix "true" -}}
{{- $_ := set $service (print $prefix ".name") $sticky.cookieName -}}
{{- $_ := set $service (print $prefix ".httponly") "true" -}}
{{- $_ := set $service (print $prefix ".secure") $secure -}}
{{- $_ := set $service (print $prefix ".samesite") $sticky.sameSite -}}
{{- $_ := set $service (print $prefix ".path") "/" -}}
{{- else if eq .Values.ingress.controller "nginx" -}}
{{- $prefix := "nginx.ingress.kubernetes.io" -}}
{{- $_ := set $ingress (print $prefix "/affinity") "cookie" -}}
{{- /* "balanced", the default, moves clients when replicas are added. */ -}}
{{- $_ := set $ingress (print $prefix "/affinity-mode") "persistent" -}}
{{- $_ := set $ingress (print $prefix "/session-cookie-name") $sticky.cookieName -}}
{{- $_ := set $ingress (print $prefix "/session-cookie-path") "/" -}}
{{- $_ := set $ingress (print $prefix "/session-cookie-samesite") (title $sticky.sameSite) -}}
{{- $_ := set $ingress (print $prefix "/session-cookie-secure") $secure -}}
{{- $_ := set $ingress (print $prefix "/session-cookie-change-on-failure") "true" -}}
{{- else if eq .Values.ingress.controller "haproxy" -}}
{{- $_ := set $service "haproxy.org/cookie-persistence" $sticky.cookieName -}}
{{- else if eq .Values.ingress.controller "haproxy-ingress" -}}
{{- $prefix := "haproxy-ingress.github.io" -}}
{{- $_ := set $ingress (print $prefix "/affinity") "cookie" -}}
{{- $_ := set $ingress (print $prefix "/session-cookie-name") $sticky.cookieName -}}
{{- $_ := set $ingress (print $prefix "/session-cookie-strategy") "insert" -}}
{{- $_ := set $ingress (print $prefix "/session-cookie-same-site") (eq $sticky.sameSite "none" | toString) -}}
{{- end -}}
{{- end -}}
{{- dict "ingress" $ingress "service" $service | toJson -}}
{{- end -}}

{{/*
Session affinity as each controller wants it, in the same form: requests are hashed by the bucket of their session.
Those without a bucket are balanced as they are otherwise.
*/}}
{{- define "join-session.affinityAnnotations" -}}
{{- $ingress := dict -}}
{{- $service := dict -}}
{{- if and .Values.ingress.enabled (eq .Values.ingress.affinity "session") -}}
{{- $cookie := include "join-session.bucketCookie" . -}}
{{- if eq .Values.ingress.controller "nginx" -}}
{{- $prefix := "nginx.ingress.kubernetes.io" -}}
{{- $_ := set $ingress (print $prefix "/upstream-hash-by") "$join_session_affinity" -}}
{{- /* Or all requests without the cookie would have the same hash. */ -}}
{{- $lines := list "set $join_session_affinity $request_id;" (printf "if ($cookie_%s ~ \"^[0-9a-f]{3}$\") { set $join_session_affinity $cookie_%s; }" $cookie $cookie) -}}
{{- $_ := set $ingress (print $prefix "/configuration-snippet") (join "\n" $lines) -}}
{{- else if hasPrefix "haproxy" .Values.ingress.controller -}}
{{- $lines := list (printf "balance hash req.cook(%s)" $cookie) "hash-type consistent sdbm avalanche" (printf "ignore-persist if { req.cook(%s) -m found }" $cookie) -}}
{{- /* A replica has 16 points on the ring for each unit of its weight. With 16 in all some get twice the buckets of others. */ -}}
{{- if eq .Values.ingress.controller "haproxy" -}}
{{- $_ := set $service "haproxy.org/backend-config-snippet" (append $lines "default-server weight 16" | join "\n") -}}
{{- else -}}
{{- $_ := set $ingress "haproxy-ingress.github.io/config-backend" (join "\n" $lines) -}}
{{- $_ := set $ingress "haproxy-ingress.github.io/initial-weight" "16" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "ingress" $ingress "service" $service | toJson -}}
{{- end -}}

{{- define "join-session.bucketCookie" -}}
join_session_bucket
{{- end -}}

{{- define "join-session.sessionAffinity" -}}
{{- or (and .Values.ingress.enabled (eq .Values.ingress.affinity "session")) (and .Values.httpRoute.enabled (eq .Values.httpRoute.affinity "session")) | ternary "true" "" -}}
{{- end -}}

{{/* Time-outs for connections that are silent between two heartbeats, in the same form. */}}
{{- define "join-session.timeoutAnnotations" -}}
{{- $ingress := dict -}}
{{- if .Values.ingress.enabled -}}
{{- $seconds := .Values.ingress.timeoutSeconds | int -}}
{{- if eq .Values.ingress.controller "nginx" -}}
{{- $_ := set $ingress "nginx.ingress.kubernetes.io/proxy-read-timeout" (toString $seconds) -}}
{{- $_ := set $ingress "nginx.ingress.kubernetes.io/proxy-send-timeout" (toString $seconds) -}}
{{- else if eq .Values.ingress.controller "haproxy" -}}
{{- $_ := set $ingress "haproxy.org/timeout-tunnel" (printf "%ds" $seconds) -}}
{{- $_ := set $ingress "haproxy.org/timeout-server" (printf "%ds" $seconds) -}}
{{- else if eq .Values.ingress.controller "haproxy-ingress" -}}
{{- $_ := set $ingress "haproxy-ingress.github.io/timeout-tunnel" (printf "%ds" $seconds) -}}
{{- $_ := set $ingress "haproxy-ingress.github.io/timeout-server" (printf "%ds" $seconds) -}}
{{- end -}}
{{- end -}}
{{- toJson $ingress -}}
{{- end -}}
