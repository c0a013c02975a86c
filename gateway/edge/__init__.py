"""Generates the REST edge from the contract: the filters of its Envoy, the descriptor set and the OpenAPI document."""
