{{/* The name of an image: (list $ "orders"). A tag that is a digest, sha256:…, is named as one. */}}
{{- define "shop.image" -}}
{{- $images := (index . 0).Values.images -}}
{{- $name := index . 1 -}}
{{- $tag := index $images.tags $name -}}
{{- $images.registry }}/{{ $name }}{{ if hasPrefix "sha256:" $tag }}@{{ else }}:{{ end }}{{ $tag }}
{{- end -}}

{{/* The origins that may call from a browser, as Istio wants them. */}}
{{- define "shop.origins" -}}
{{- $origins := list -}}
{{- range .Values.edge.origins -}}{{- $origins = append $origins (dict "exact" .) -}}{{- end -}}
{{- toJson $origins -}}
{{- end -}}

{{/* The namespace of what receives spans, and where services send theirs. */}}
{{- define "shop.traces.namespace" -}}
{{- with .Values.traces.receiver -}}
{{- $namespace := splitList "." . | last -}}
{{- if eq $namespace $.Release.Namespace -}}
{{- fail (printf "traces.receiver %s: the shop's own namespace lets nothing in; use another for the collector" .) -}}
{{- end -}}
{{- $namespace -}}
{{- else -}}monitoring{{- end -}}
{{- end -}}

{{- define "shop.traces.endpoint" -}}
{{- with .Values.traces.receiver -}}http://{{ . }}.svc.{{ $.Values.clusterDomain }}:4317{{- end -}}
{{- end -}}

{{/* A secret's value, as it is in the cluster, else drawn: (list $ "redis" "PASSWORD"). */}}
{{- define "shop.drawn" -}}
{{- $root := index . 0 -}}
{{- $there := lookup "v1" "Secret" $root.Release.Namespace (index . 1) -}}
{{- if $there -}}
{{- index $there.data (index . 2) | b64dec -}}
{{- else -}}
{{- randAlphaNum 48 -}}
{{- end -}}
{{- end -}}
