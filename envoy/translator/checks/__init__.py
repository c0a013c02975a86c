"""
What is wrong with a resource: what Istio's webhook refuses, what Envoy would, and what is not supported here.
"""
