"""
The meaning of Istio's resources and of the registry: parsing, schema validation, and which of them a proxy sees.

It knows nothing of Envoy.
"""
