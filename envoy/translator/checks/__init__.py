"""
Validates resources: what Istio's webhook rejects, what Envoy would reject, and what is not supported here.
"""
