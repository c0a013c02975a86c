"""
Random values for the fields of Istio's schema: plausible ones, and ones at the edge of what a field may be.
"""

import random
from typing import Any

NAMES = ("orders", "inventory", "pages", "a", "v1", "x-customer", "shop")
HOSTS = (
    "inventory",
    "orders.shop.svc.cluster.local",
    "pages.web",
    "bank.example",
    "*.example.com",
    "*",
    "shop.example",
)
DURATIONS = ("1s", "250ms", "1h30m", "0.5s", "10s")
REGEXES = ("a.*", "[a-z]+", "^/v1/.*$")
# Said of a text field by the end of its name; the first that fits.
TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("regex", REGEXES),
    ("ipblocks", ("10.0.0.0/8", "127.0.0.1", "::1/128")),
    ("address", ("127.0.0.1", "10.1.2.3", "bank.example", "fd00::1")),
    ("addresses", ("10.1.2.3", "10.0.0.0/8")),
    ("hosts", HOSTS),
    ("host", HOSTS[:4]),
    ("authority", HOSTS[:4]),
    ("exportto", (".", "*", "shop")),
    ("gateways", ("mesh", "edge", "shop/edge")),
    ("protocol", ("HTTP", "GRPC", "HTTPS", "TCP", "TLS", "HTTP2", "MONGO")),
    ("ports", ("80", "50051")),
    ("paths", ("/a", "/a*", "*/b", "/{*}/a", "/{**}")),
    ("methods", ("GET", "POST")),
    ("principals", ("cluster.local/ns/shop/sa/orders", "*", "*/sa/orders")),
    ("uri", ("/a", "/b/c")),
    ("scheme", ("http", "https")),
    ("retryon", ("5xx", "reset,503", "connect-failure")),
    ("grpcstatus", ("UNAVAILABLE", "INTERNAL")),
    ("key", ("request.headers[x-a]", "source.namespace", "request.auth.claims[roles]")),
    ("jwksuri", ("https://bank.example/keys", "http://issuer.shop")),
    ("certificate", ("/etc/certs/cert.pem",)),
    ("privatekey", ("/etc/certs/key.pem",)),
    ("cacertificates", ("/etc/certs/ca.pem",)),
    ("credentialname", ("shop-tls",)),
)
# Texts that some field refuses.
ODD_TEXTS = (
    "",
    " ",
    "*",
    "**",
    ".",
    "~",
    "/",
    "a b",
    "A",
    "Upper-Case",
    "under_score",
    "-a",
    "a-",
    "a.",
    ".a",
    "a..b",
    "*a",
    "*-foo.example.com",
    "a*",
    "*.",
    "*.*.com",
    "a.b.c.example.com",
    "x" * 63,
    "x" * 64,
    "x" * 254,
    "a." * 130 + "b",
    "x" * 1025,
    "%",
    "%%",
    "50%",
    "%REQ(x)%",
    "%REQ(x)",
    "%START_TIME%",
    "%NOSUCH%",
    "(",
    "[a",
    "(?=a)",
    "a{2000}",
    "ä",
    "a\nb",
    "a\tb",
    "a\x00b",
    ":path",
    ":authority",
    "host",
    "Host",
    "content-length",
    "x-a,x-b",
    "/{*}/foo/{**}",
    "/{**}/foo/{*}",
    "/foo{*}",
    "{*}",
    "1s",
    "0s",
    "1ns",
    "999us",
    "1ms",
    "-1s",
    "1",
    "1d",
    "1.5.5s",
    "100000h",
    "9223372036s",
    "10000000000s",
    "1h1m1s1ms",
    "1.0001s",
    "0",
    "-1",
    "65535",
    "65536",
    "80",
    "1-2",
    "127.0.0.1",
    "127.0.0.1/8",
    "127.0.0.1/33",
    "1.2.3",
    "1.2.3.4.5",
    "::1",
    "fd00::/8",
    "::ffff:1.2.3.4",
    "unix:///var/a.sock",
    "unix://@a",
    "unix://a",
    "http://a",
    "https://a/b",
    "ftp://a",
    "://",
    "a/b",
    "/a",
    "a/",
    "./a",
    "*/a",
    "~/a",
    "~/*",
    "shop/*",
    "shop/*.example.com",
    "shop/a/b",
    "mesh",
    "5xx",
    "5xx, reset",
    "5xx,,reset",
    "503",
    "700",
    "nonsense",
    "GET",
    "get",
    "TRACE",
    "TLSV1_0",
    "UNSPECIFIED",
    "cluster.local/ns/a/sa/b",
    "spiffe://cluster.local/ns/a/sa/b",
    "{}",
    '{"keys": []}',
    "kubernetes://a",
    "sds://a",
    "null",
    "true",
)
ODD_NUMBERS = (
    -(2**63),
    -(2**31) - 1,
    -(2**31),
    -1,
    0,
    1,
    2,
    99,
    100,
    101,
    199,
    200,
    204,
    304,
    308,
    503,
    599,
    600,
    999,
    1000,
    1024,
    65535,
    65536,
    5000011,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**40,
    2**63,
    0.5,
    1.5,
    -0.1,
    99.9,
    100.1,
    1e-9,
    1e300,
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [None],
    [""],
    [{}],
    {"": ""},
    {"a": "b"},
    {"*": "a"},
    "text",
    7,
)
# Plain YAML scalars that readings of YAML differ about, put in as they stand.
PLAIN = (
    "y",
    "n",
    "yes",
    "No",
    "on",
    "OFF",
    "true",
    "True",
    "1e3",
    "1E3",
    "1_000",
    "012",
    "0o17",
    "0x1F",
    "0b101",
    "1:30",
    "1:30:00",
    "190:20:30.15",
    ".5",
    "+1",
    "1.",
    "1.0",
    "3.0",
    "~",
    "null",
    "Null",
    ".inf",
    ".nan",
    "2026-01-02",
    "2026-01-02T00:00:00Z",
    "=",
    "0.0",
    "-0",
    "1e0",
    "12e03",
    "685.230_15e+03",
    "0.1e1",
    "1e+3",
    "'y'",
    "08",
    "09.5",
    "!!str 5",
    "1,000",
)
MAX_DEPTH = 5


def plausible(rng: random.Random, name: str, schema: dict[str, Any], depth: int = 0) -> Any:
    """
    Return a value that the field *name* could have by its schema; it may still be refused.
    """
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema["type"][0] if isinstance(schema.get("type"), list) else schema.get("type")
    if kind == "object":
        return _object(rng, name, schema, depth)
    if kind == "array":
        return [plausible(rng, name, schema["items"], depth + 1) for _ in range(rng.choice((0, 1, 1, 2)))]
    if kind == "boolean":
        return rng.random() < 0.7
    if kind in ("integer", "number"):
        return _number(rng, name, schema)
    if schema.get("x-kubernetes-int-or-string"):
        return rng.choice((1, "80"))
    return _text(rng, name, schema)


def _object(rng: random.Random, name: str, schema: dict[str, Any], depth: int) -> dict[str, Any]:
    if isinstance(schema.get("additionalProperties"), dict):
        inner = schema["additionalProperties"]
        keys = rng.sample(("x-a", "app", "80", "http", "9000"), rng.choice((0, 1, 1, 2)))
        return {key: plausible(rng, name, inner, depth + 1) for key in keys}
    properties: dict[str, Any] = schema.get("properties", {})
    wanted = set(schema.get("required", ()))
    others = sorted(set(properties) - wanted)
    rng.shuffle(others)
    count = 0 if depth >= MAX_DEPTH else rng.choice((1, 1, 1, 2, 2, 3))
    chosen = [*sorted(wanted), *others[:count]]
    for branch in schema.get("oneOf", ()):
        names = [field for field in branch.get("required", ()) if field in chosen]
        chosen = [field for field in chosen if field not in names[1:]]
    return {field: plausible(rng, field, properties[field], depth + 1) for field in chosen if field in properties}


def _number(rng: random.Random, name: str, schema: dict[str, Any]) -> Any:
    low = name.lower()
    if low in ("number", "port", "ports", "targetport"):
        return rng.choice((80, 443, 8080, 9000, 50051))
    if "status" in low or "code" in low:
        return rng.choice((200, 301, 404, 500, 503))
    if schema.get("type") == "number":
        return rng.choice((0.5, 10, 99.5, 100))
    return rng.choice((1, 2, 5, 10, 100))


def _text(rng: random.Random, name: str, schema: dict[str, Any]) -> str:
    rules = " ".join(rule["rule"] for rule in schema.get("x-kubernetes-validations", ()))
    if "duration" in rules or name.lower().endswith(("timeout", "interval", "ttl", "maxage", "backoff", "fixeddelay")):
        return rng.choice(DURATIONS)
    low = name.lower()
    return rng.choice(next((texts for ending, texts in TEXTS if low.endswith(ending)), NAMES))
