{{- define "name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "account" -}}
{{- .Values.serviceAccount.name | default (include "name" .) }}
{{- end }}

{{/* What Services, monitors and budgets choose by. It never changes: a Deployment's selector can't. */}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ include "name" . }}
{{- end }}

{{- define "metadata" -}}
name: {{ include "name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "labels" . | nindent 2 }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* A number of YAML as it was written: 67108864, not 6.7108864e+07. */}}
{{- define "text" -}}
{{ if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* Settings that follow from other values, and those of the user, which win: a map in YAML. */}}
{{- define "settings" -}}
{{- $made := dict }}
{{- with .Values.tlsSecret }}{{ $_ := set $made "OPENMCP_TLS_CERT_FILE" "/etc/openmcp-apiserver/tls/tls.crt" }}{{ $_ := set $made "OPENMCP_TLS_KEY_FILE" "/etc/openmcp-apiserver/tls/tls.key" }}{{ end }}
{{- with .Values.usersSecret }}{{ $_ := set $made "OPENMCP_USERS_FILE" "/etc/openmcp-apiserver/users/users.yaml" }}{{ end }}
{{- $kubeconfigs := list }}
{{- with .Values.ownCluster }}{{ $kubeconfigs = append $kubeconfigs "/etc/openmcp-apiserver/own/config" }}{{ end }}
{{- with .Values.kubeconfigSecret }}{{ $kubeconfigs = append $kubeconfigs "/etc/openmcp-apiserver/kubeconfig/config" }}{{ end }}
{{- $source := get .Values.settings "OPENMCP_CLUSTER_SOURCE" }}
{{- if and (eq $source "kubeconfig") (not $kubeconfigs) (not .Values.settings.OPENMCP_KUBECONFIG) }}
{{- fail "no cluster is named: set kubeconfigSecret to a Secret whose key config is a kubeconfig, ownCluster to a name for the cluster that the pod runs in, or settings.OPENMCP_CLUSTER_SOURCE" }}
{{- end }}
{{- with $kubeconfigs }}{{ $_ := set $made "OPENMCP_KUBECONFIG" (join ":" .) }}{{ end }}
{{- if .Values.persistence.enabled }}{{ $_ := set $made "OPENMCP_EMBEDDED_FILE" "/var/lib/openmcp-apiserver/usage.sqlite" }}{{ end }}
{{- if .Values.nats.enabled }}
{{- $_ := set $made "OPENMCP_STATE" "nats" }}
{{- $_ := set $made "OPENMCP_NATS_URL" "tls://openmcp-nats-0.openmcp-nats:4222,tls://openmcp-nats-1.openmcp-nats:4222,tls://openmcp-nats-2.openmcp-nats:4222" }}
{{- $_ := set $made "OPENMCP_NATS_USERNAME" "writer" }}
{{- $_ := set $made "OPENMCP_NATS_CA_FILE" "/etc/openmcp-apiserver/nats/ca.crt" }}
{{- $_ := set $made "OPENMCP_NATS_STREAM_REPLICAS" "3" }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- if regexMatch "_(SIGNING_KEY|APP_KEY|VERIFICATION_KEYS|PASSWORD|PW|TOKEN)$" $name }}
{{- fail (printf "settings.%s is a secret: put it into the Secret %s, which is the pod's environment as well" $name $.Values.secretName) }}
{{- end }}
{{- $_ := set $made $name (include "text" $value) }}
{{- end }}
{{- toYaml $made }}
{{- end }}

{{/* What is on, of `needs` in files/rights.yaml, and "host" and "member": which of these this account is for. Words are read
as the server reads them. */}}
{{- define "needs" -}}
{{- $settings := dict }}
{{- range $name, $value := include "settings" . | fromYaml }}{{ $_ := set $settings $name (lower $value) }}{{ end }}
{{- $yes := list "true" "1" "yes" "on" "t" "y" }}
{{- $sources := splitList "," (nospace (get $settings "OPENMCP_CLUSTER_SOURCE" | default "kubefed")) }}
{{- $kubefed := has "kubefed" $sources }}
{{- $reviews := has (get $settings "OPENMCP_TOKEN_REVIEW") $yes }}
{{- $elsewhere := pick $settings "OPENMCP_INFLUX_URL" "OPENMCP_INFLUX_HOST" "INFLUX_IP" "OPENMCP_PROMETHEUS_URL" }}
{{- $store := get $settings "OPENMCP_METRIC_STORE" | default (ternary "embedded" "other" (empty $elsewhere)) }}
{{- $collects := or (eq $store "embedded") (get $settings "OPENMCP_COLLECT_TO") (eq (get $settings "OPENMCP_USAGE_FROM") "collector") }}
always: true
member: {{ or $kubefed (ne .Values.ownCluster "") }}
host: {{ or $kubefed (has "secrets" $sources) (has "clusterprofile" $sources) $reviews }}
kubefed: {{ $kubefed }}
secrets: {{ has "secrets" $sources }}
clusterprofile: {{ has "clusterprofile" $sources }}
events: {{ not (regexMatch "^0+$" (get $settings "OPENMCP_EVENTS_KEPT")) }}
workloads: {{ not (has (get $settings "OPENMCP_WORKLOADS") (list "false" "0" "no" "off" "f" "n")) }}
collector: {{ and $collects (not (regexMatch "^[0.hms]*0[0.hms]*$" (get $settings "OPENMCP_COLLECT_INTERVAL"))) | not | not }}
impersonation: {{ eq (get $settings "OPENMCP_AUTHORIZATION") "impersonate" }}
token-review: {{ $reviews }}
join: {{ has (get $settings "OPENMCP_JOIN") $yes }}
kubelets: {{ .Values.rbac.kubelets }}
view: {{ .Values.rbac.view }}
edit: {{ .Values.rbac.edit }}
portal: {{ .Values.rbac.portal }}
{{- end }}
