"""Checks of what k8s/ renders to, without a cluster."""
