"""
Generates Envoy's configuration: listeners, routes, clusters, endpoints, filters and secrets.

Files are named like those of Istio that do the same.
"""
