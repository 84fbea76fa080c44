{{/*
The sidecar as it stands in a pod, its volumes, and the hook of the Prometheus container. A parent chart takes them with the
subchart's own scope:

  initContainers:
    - {{- include "amp-sidecar.container" (index .Subcharts "amp-sidecar") | nindent 6 }}
  containers:
    - name: prometheus
      lifecycle:
        {{- include "amp-sidecar.preStop" (index .Subcharts "amp-sidecar") | nindent 8 }}
  volumes:
    {{- include "amp-sidecar.volumes" (index .Subcharts "amp-sidecar") | nindent 4 }}
*/}}
{{- define "amp-sidecar.container" -}}
{{- if and .Values.sidecar.native (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "sidecar.native: this is Kubernetes %s, and native sidecars need 1.29; set sidecar.native=false" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
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
{{/* No readiness probe: problems with AWS must not remove Prometheus from its Service. */ -}}
{{ include "amp-sidecar.liveness" "sidecar-admin" }}
{{- if not .Values.sidecar.native }}
# The same hook as Prometheus', since both get SIGTERM at once: the sidecar must not stop while Prometheus catches up.
lifecycle:
  {{- include "amp-sidecar.preStop" . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{ include "amp-sidecar.terminationMessage" . }}
securityContext:
  {{- include "amp-sidecar.securityContext" . | nindent 2 }}
volumeMounts:
  {{- include "amp-sidecar.mounts" . | nindent 2 }}
{{- end -}}

{{/* By number, since the port's name belongs to the sidecar. */}}
{{- define "amp-sidecar.preStop" -}}
preStop:
  httpGet:
    path: /caught-up?within=60s
    port: 8006
{{- end -}}

{{- define "amp-sidecar.volumes" -}}
- name: amp-token
  projected:
    sources:
      - serviceAccountToken:
          audience: {{ .Values.aws.audience }}
          expirationSeconds: 3600
          path: token
{{- if .Values.config }}
- name: amp-sidecar-config
  configMap:
    name: {{ include "amp-sidecar.fullname" . }}-config
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "amp-sidecar.environment" -}}
{{- if .Values.config }}
- name: AMP_SIDECAR_CONFIG
  value: /etc/amp-sidecar/config/config.yaml
{{- else }}
- name: AWS_REGION
  value: {{ required "aws.region: the region of the workspace is required" .Values.aws.region | quote }}
- name: AMP_SIDECAR_WORKSPACE_ID
  value: {{ required "aws.workspaceId: the AMP workspace is required, ws-…" .Values.aws.workspaceId | quote }}
- name: AWS_ROLE_ARN
  value: {{ required "aws.roleArn: the role that trusts the service account is required" .Values.aws.roleArn | quote }}
{{- end }}
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
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What is wrong with a setting then stands in `kubectl describe pod`, not in the log alone. */}}
{{- define "amp-sidecar.terminationMessage" -}}
terminationMessagePolicy: FallbackToLogsOnError
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

{{/* Whole folders: by subPath nothing that is renewed would arrive. */}}
{{- define "amp-sidecar.mounts" -}}
- name: amp-token
  mountPath: /var/run/secrets/amp-sidecar
  readOnly: true
{{- if .Values.config }}
- name: amp-sidecar-config
  mountPath: /etc/amp-sidecar/config
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
