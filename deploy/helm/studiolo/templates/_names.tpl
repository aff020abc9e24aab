{{- define "studiolo.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "studiolo.selector" -}}
app.kubernetes.io/name: studiolo
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "studiolo.labels" -}}
{{ include "studiolo.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* The path of the data directory names the platform on what it shares with others, so it must differ among releases. */ -}}
{{- define "studiolo.data" -}}
/srv/studiolo/{{ .Release.Namespace }}/{{ .Release.Name }}
{{- end -}}

{{- /* A priority class is the whole cluster's. */ -}}
{{- define "studiolo.warm" -}}
{{ include "studiolo.name" . }}-{{ .Release.Namespace | trunc 12 | trimSuffix "-" }}-warm
{{- end -}}
