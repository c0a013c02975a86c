"""
What becomes Envoy's configuration: listeners, routes, clusters, endpoints, filters and secrets.

Files have the names of those of Istio that do the same.
"""
