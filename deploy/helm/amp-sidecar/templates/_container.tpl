{{/*
The sidecar as it stands in a pod, and the volume of its token. A parent chart takes them with the subchart's own scope:

  initContainers:
    - {{- include "amp-sidecar.container" (index .Subcharts "amp-sidecar") | nindent 6 }}
  volumes:
    - {{- include "amp-sidecar.volume" (index .Subcharts "amp-sidecar") | nindent 6 }}
*/}}
{{- define "amp-sidecar.container" -}}
name: amp-sidecar
image: {{ include "amp-sidecar.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if .Values.sidecar.native }}
restartPolicy: Always
{{- end }}
env:
  {{- include "amp-sidecar.environment" . | nindent 2 }}
ports:
  - name: sidecar-admin
    containerPort: 8006
{{/* No readiness probe: trouble with AWS must not take Prometheus out of its Service. */ -}}
{{ include "amp-sidecar.liveness" "sidecar-admin" }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "amp-sidecar.securityContext" . | nindent 2 }}
volumeMounts:
  {{- include "amp-sidecar.tokenMount" . | nindent 2 }}
{{- end -}}

{{- define "amp-sidecar.volume" -}}
name: amp-token
projected:
  sources:
    - serviceAccountToken:
        audience: {{ .Values.aws.audience }}
        expirationSeconds: 3600
        path: token
{{- end -}}

{{- define "amp-sidecar.environment" -}}
- name: AWS_REGION
  value: {{ required "aws.region: the region of the workspace is required" .Values.aws.region | quote }}
- name: AMP_SIDECAR_WORKSPACE_ID
  value: {{ required "aws.workspaceId: the AMP workspace is required, ws-…" .Values.aws.workspaceId | quote }}
- name: AWS_ROLE_ARN
  value: {{ required "aws.roleArn: the role that trusts the service account is required" .Values.aws.roleArn | quote }}
- name: AWS_WEB_IDENTITY_TOKEN_FILE
  value: /var/run/secrets/amp-sidecar/token
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "amp-sidecar.liveness" -}}
startupProbe:
  httpGet:
    path: /livez
    port: {{ . }}
  periodSeconds: 1
  failureThreshold: 30
livenessProbe:
  httpGet:
    path: /livez
    port: {{ . }}
{{- end -}}

{{- define "amp-sidecar.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The whole folder: by subPath a renewed token would never arrive. */}}
{{- define "amp-sidecar.tokenMount" -}}
- name: amp-token
  mountPath: /var/run/secrets/amp-sidecar
  readOnly: true
{{- end -}}
