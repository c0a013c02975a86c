"""
What Istio's resources and the registry mean: read, checked by the schema, and which of them a proxy sees.

It knows nothing of Envoy.
"""
