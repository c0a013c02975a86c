"""Kubernetes: the manifests, and their deployment to a cluster."""
