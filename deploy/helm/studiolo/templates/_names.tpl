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

{{- define "studiolo.postgresql" -}}
{{ include "studiolo.name" . }}-postgresql
{{- end -}}

{{- /* Nothing that selects the platform's pod may select this one. */ -}}
{{- define "studiolo.postgresqlSelector" -}}
app.kubernetes.io/name: studiolo-postgresql
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "studiolo.postgresqlLabels" -}}
{{ include "studiolo.postgresqlSelector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* The Secret whose key `url` names the database; empty: SQLite. */ -}}
{{- define "studiolo.databaseSecret" -}}
{{- with .Values.postgresql -}}
{{- if and .enabled .existingSecret -}}
{{- fail "postgresql.enabled makes a PostgreSQL, and postgresql.existingSecret names one of yours: give one of them. With existingSecret, leave out postgresql.enabled." -}}
{{- end -}}
{{- .existingSecret | default (ternary (include "studiolo.postgresql" $) "" .enabled) -}}
{{- end -}}
{{- end -}}

{{- define "studiolo.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "studiolo.sessionImage" -}}
{{ .Values.sessions.image | default (include "studiolo.image" .) }}
{{- end -}}
