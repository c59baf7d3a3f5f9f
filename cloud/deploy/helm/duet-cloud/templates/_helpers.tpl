{{- define "duet.name" -}}
{{- printf "%s" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "duet.selector" -}}
app.kubernetes.io/name: duet-cloud
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "duet.labels" -}}
{{ include "duet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}
