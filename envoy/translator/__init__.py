"""
Translates Istio's files into the configuration of real Envoy sidecars and gateways.
"""
