{{/* A service with the defaults in it. Sprig's mergeOverwrite would let no false, 0 or "" take the place of anything. */}}
{{- define "zkrpc.merged" -}}
{{- $merged := deepCopy .defaults }}
{{- range $key, $value := .own }}
  {{- $default := get $merged $key }}
  {{- if and (kindIs "map" $value) (kindIs "map" $default) }}
    {{- $_ := set $merged $key (fromYaml (include "zkrpc.merged" (dict "defaults" $default "own" $value))) }}
  {{- else if has $key (list "extraEnv" "volumes" "volumeMounts") }}
    {{- $_ := set $merged $key (concat ($default | default list) ($value | default list)) }}
  {{- else if not (kindIs "invalid" $value) }}
    {{- $_ := set $merged $key $value }}
  {{- end }}
{{- end }}
{{- toYaml $merged }}
{{- end }}

{{/* A scalar as text: whole numbers without an exponent, a switch as 1 or 0. */}}
{{- define "zkrpc.text" -}}
{{- if kindIs "bool" . }}{{ ternary "1" "0" . }}
{{- else if and (kindIs "float64" .) (eq . (floor .)) }}{{ printf "%.0f" . }}
{{- else }}{{ . }}{{ end }}
{{- end }}

{{- define "zkrpc.labels" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/part-of: zkrpc
{{- end }}

{{- define "zkrpc.zookeeper" -}}
{{- $zookeeper := .Values.zookeeper }}
{{- if and $zookeeper.enabled $zookeeper.hosts }}
  {{- fail "zookeeper.hosts is for an ensemble that is there already: set zookeeper.enabled=false with it, or leave it out" }}
{{- else if $zookeeper.enabled }}
  {{- range $number := until (int $zookeeper.replicas) }}
    {{- if $number }},{{ end }}zookeeper-{{ $number }}.zookeeper:2181
  {{- end }}
{{- else }}
  {{- required "zookeeper.enabled is false: say where ZooKeeper is with zookeeper.hosts=host:port,host:port" $zookeeper.hosts }}
{{- end }}
{{- $zookeeper.chroot }}
{{- end }}

{{- define "zkrpc.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (ternary .Release.Name "" .Values.serviceAccount.create) }}
{{- end }}

{{/* Seconds: no less than a stop may take by the settings, which count 1 s and 10 s if they say nothing. A primary
hands over first. */}}
{{- define "zkrpc.grace" -}}
{{- if .terminationGracePeriodSeconds }}
  {{- int .terminationGracePeriodSeconds }}
{{- else }}
  {{- $linger := dig "linger" 1 .settings }}
  {{- $drain := get .settings "drain-timeout" }}
  {{- if kindIs "invalid" $drain }}{{ $drain = 10 }}{{ end }}
  {{- $grace := max 30 (add 16 (ceil $linger) (ceil $drain)) }}
  {{- add $grace (ternary 10 0 .primary) }}
{{- end }}
{{- end }}

{{/* Where the pods of a name may run: fields of a pod. */}}
{{- define "zkrpc.placement" -}}
{{- $selector := dict "matchLabels" (dict "app.kubernetes.io/name" .name) }}
{{- $affinity := dict }}
{{- $apart := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" $selector }}
{{- if eq .it.antiAffinity "preferred" }}
  {{- $weighed := list (dict "weight" 100 "podAffinityTerm" $apart) }}
  {{- $affinity = dict "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" $weighed) }}
{{- else if eq .it.antiAffinity "required" }}
  {{- $affinity = dict "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $apart)) }}
{{- end }}
{{- $fields := dict }}
{{- with merge (deepCopy .it.affinity) $affinity }}{{ $_ := set $fields "affinity" . }}{{ end }}
{{- $spread := list }}
{{- range .it.topologySpreadConstraints }}
  {{- $spread = append $spread (merge (deepCopy .) (dict "labelSelector" $selector)) }}
{{- end }}
{{- with $spread }}{{ $_ := set $fields "topologySpreadConstraints" . }}{{ end }}
{{- range $field := list "nodeSelector" "tolerations" "priorityClassName" }}
  {{- with get $.it $field }}{{ $_ := set $fields $field . }}{{ end }}
{{- end }}
{{- with $fields }}{{ toYaml . }}{{ end }}
{{- end }}
