# one field a line
"""
Generates resources from Istio's own schema, with values that are often plausible and sometimes not.
"""

from typing import Any

from hypothesis import strategies as st

from translator.checks.unsupported import UNSUPPORTED
from translator.model.schema import Kind

# Plausible values by field name, so that enough generated resources are translated.
PLAUSIBLE: dict[str, list[Any]] = {
    "host": ["inventory", "orders.shop.svc.cluster.local", "bank.example", "*.example", "*", ""],
    "hosts": ["inventory", "orders", "shop.example", "*.shop.example", "*", "./*", "shop/*", "bank.example"],
    "gateways": ["mesh", "edge", "shop/edge"],
    "exportTo": [".", "*", "web"],
    "name": ["a", "b", "v1", "http", "grpc", "x-token", "Not Good"],
    "subset": ["v1", "v2", ""],
    "exact": ["/a", "POST", "anna", ""],
    "prefix": ["/", "/shop.", ""],
    "regex": ["/a/.*", "*", "(", ".*", "(?=x)"],
    "retryOn": ["connect-failure,unavailable", "503", "sometimes", ""],
    "grpcStatus": ["UNAVAILABLE", "INTERNAL", "BROKEN"],
    "httpStatus": [503, 200, 42],
    "status": [200, 503, 99],
    "redirectCode": [301, 308, 200],
    "number": [80, 50051, 443, 8080, 0],
    "protocol": ["HTTP", "GRPC", "HTTPS", "HTTP2", "TCP", "PIGEON"],
    "address": ["127.0.0.1", "bank.example", "unix:///x"],
    "principals": ["cluster.local/ns/shop/sa/edge", "*", "*/sa/a", ""],
    "requestPrincipals": ["*", "https://issuer/anna", "x*", "*x"],
    "namespaces": ["shop", "we*"],
    "paths": ["/a", "/a/*", "*/b", "/{*}/x", "/{**}"],
    "ipBlocks": ["127.0.0.0/8", "::1", "here"],
    "ports": ["80", "x"],
    "key": ["source.ip", "request.headers[x]", "request.auth.claims[a][b]", "destination.port", "weather"],
    "values": ["127.0.0.1", "80", "a*"],
    "issuer": ["https://issuer", "a"],
    "jwks": ['{"keys": []}', "nonsense"],
    "jwksUri": ["http://127.0.0.1:9000/keys", "https://keys.example/x"],
    "credentialName": ["shop-tls"],
    "labels": ["v1"],
    "allowMethods": ["GET", "JUMP"],
    "maxEjectionPercent": [0, 10, 100, 101],
    "weight": [0, 1, 99, -1],
    "attempts": [0, 2, -1],
    "tableSize": [101, 10],
    "value": [0, 0.5, 50, 100, 101, -1],
}  # fmt: skip
TEXTS = st.sampled_from(["a", "x-b", "shop", "1", "", "ä", "a b", "\n"])
DURATIONS = st.sampled_from(["1s", "250ms", "1h30m", "0s", "soon", "1.5s", "400000h"])
NUMBERS = st.sampled_from([0, 1, 2, 3, 100, 1000, 65535, 65536, -1, 4294967295])
MAX_ITEMS, MAX_FIELDS = 3, 4


def specs(kind: Kind) -> st.SearchStrategy[Any]:
    """Return specs of a kind: mostly valid by the schema."""
    return _values(dict(kind.schema), "spec")


def _values(schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    types = schema.get("type", "string")
    known = types[0] if isinstance(types, list) else types
    if known == "object":
        return _objects(schema, name)
    if known == "array":
        return st.lists(_values(schema["items"], name), max_size=MAX_ITEMS)
    return _scalars(schema, known, name)


def _scalars(schema: dict[str, Any], known: str, name: str) -> st.SearchStrategy[Any]:
    rules = " ".join(rule["rule"] for rule in schema.get("x-kubernetes-validations", ()))
    if "duration(self)" in rules:
        return DURATIONS
    plausible = PLAUSIBLE.get(name, [])
    if known == "string":
        words = [str(value) for value in plausible]
        return st.one_of(st.sampled_from(words), TEXTS) if words else TEXTS
    numbers = [value for value in plausible if isinstance(value, int | float)]
    if known == "integer":
        whole = [value for value in numbers if isinstance(value, int)]
        return st.sampled_from(whole) if whole else NUMBERS
    if known == "number":
        return st.sampled_from(numbers) if numbers else NUMBERS
    return st.booleans()


def _objects(schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
    properties = schema.get("properties", {})
    if not properties:
        inner = schema.get("additionalProperties")
        keys = st.sampled_from(["app", "version", "x-a", "@request.auth.claims.sub", "http", "80", ""])
        return st.dictionaries(keys, _values(inner, name) if isinstance(inner, dict) else TEXTS, max_size=2)
    required = schema.get("required", [])
    wanted = st.lists(st.sampled_from(sorted(properties)), max_size=MAX_FIELDS, unique=True)
    return wanted.flatmap(
        lambda chosen: st.fixed_dictionaries(
            {field: _values(properties[field], field) for field in dict.fromkeys([*required, *chosen])}
        )
    )


def drawn(kind: Kind) -> st.SearchStrategy[Any]:
    """Return specs of a kind, most of them repaired so that they are translated deeply."""
    return st.tuples(specs(kind), st.integers(0, 9)).map(
        lambda pair: mended(kind.name, pair[0]) if pair[1] else pair[0]
    )


def mended(kind: str, spec: Any) -> Any:
    """Return a spec without what is rejected at once: unsupported fields, missing destinations, and invalid names."""
    for pattern in UNSUPPORTED[kind]:
        _drop(spec, pattern.split("."))
    if kind == "VirtualService":
        _mend_routes(spec)
    if kind == "ServiceEntry":
        spec.pop("workloadSelector", None)
        spec["resolution"] = "STATIC" if spec.get("endpoints") else "DNS"
        spec["hosts"] = ["bank.example"]
        spec["ports"] = [
            {**port, "number": 80 + n, "name": f"p{n}"} for n, port in enumerate(spec.get("ports") or [{}])
        ]
        for endpoint in spec.get("endpoints", ()):
            endpoint.update({"address": "127.0.0.1", "ports": {}})
    if kind in ("AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication"):
        spec["selector"] = {"matchLabels": {"istio": "edge"}}
    if kind == "Gateway":
        spec["selector"] = {"istio": "edge"}
        for number, server in enumerate(spec.get("servers", ())):
            server["port"] = {"number": 8080, "name": f"p{number}", "protocol": "HTTP"}
    return spec


def _mend_routes(spec: Any) -> None:
    spec["hosts"] = ["inventory"]
    for block in spec.setdefault("http", [{}]) or [{}]:
        ends = [name for name in ("redirect", "directResponse", "route") if block.get(name)]
        for name in ends[1:]:
            block.pop(name)
        if not ends:
            block["route"] = [{"destination": {"host": "inventory"}}]
        if ends[:1] in (["redirect"], ["directResponse"]):
            block.pop("fault", None)
            block.pop("rewrite", None)
        if "mirror" in block:
            block.pop("mirrors", None)


def _drop(node: Any, parts: list[str]) -> None:
    name, rest = parts[0].removesuffix("[]"), parts[1:]
    if not isinstance(node, dict) or name not in node:
        return
    if not rest:
        node.pop(name)
        return
    for item in node[name] if parts[0].endswith("[]") and isinstance(node[name], list) else [node[name]]:
        _drop(item, rest)
