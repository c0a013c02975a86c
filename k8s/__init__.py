"""Kubernetes: the manifests, and what brings them to a cluster."""
