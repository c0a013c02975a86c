"""
VirtualService `corsPolicy` -> Envoy's CORS filter (istio: route.go TranslateCORSPolicy).
"""

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.type.matcher.v3 import string_pb2

from translator.config.protoconv import boolean, hundredths, string_match
from translator.model.values import Block, nanoseconds

FILTER = "envoy.filters.http.cors"


def cors_policy(block: Block) -> cors_pb2.CorsPolicy:
    """
    Return the CORS policy.
    """
    policy = cors_pb2.CorsPolicy(
        allow_origin_string_match=_origins(block),
        allow_methods=",".join(block.get("allowMethods", ())),
        allow_headers=",".join(block.get("allowHeaders", ())),
        expose_headers=",".join(block.get("exposeHeaders", ())),
        filter_enabled=base_pb2.RuntimeFractionalPercent(default_value=hundredths(100)),
        forward_not_matching_preflights=boolean(block.get("unmatchedPreflights") != "IGNORE"),
    )
    if "maxAge" in block:
        policy.max_age = str(nanoseconds(block["maxAge"]) // 1_000_000_000)
    if "allowCredentials" in block:
        policy.allow_credentials.CopyFrom(boolean(block["allowCredentials"]))
    return policy


def _origins(block: Block) -> list[string_pb2.StringMatcher]:
    if "allowOrigins" in block:
        return [string_match(origin) for origin in block["allowOrigins"] if origin]
    return [string_pb2.StringMatcher(exact=origin) for origin in block.get("allowOrigin", ())]
