"""Where rendered manifests still have the name of the namespace that they were written for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WORD = re.compile(r"\bshop\b")
# What is called so in any namespace: packages of the contract, folders, images, Patroni's cluster, client and audience
# of tokens, example hosts, priority classes, dashboards, plain English.
CALLED_SO = re.compile(
    r"/?\bshop\\?\.(\*|edge\b|(orders|inventory)\\?\.v1)|/etc/shop/|(?<!ns/)\bshop/[a-z-]+|\bshop-[a-z-]+|s3://shop|\bshop\.example\.com"
    r"|([Tt]he|web) shop\b"
)
FIELDS = re.compile(
    r"\.jwtRules\.\d+\.audiences\.\d+$|\.labels\.cluster-name$|^Gateway/.*\.selector\.shop key$"
    r"|^Deployment/edge\.spec\.template\.metadata\.labels\.shop key$"
    r"|^(HTTPRoute|GRPCRoute|PrometheusRule)/shop\.metadata\.name$|^ConfigMap/grafana-dashboards"
)


def left_over(objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return each place that still has the name, with its text."""
    return [
        f"{path}: {text}"
        for each in objects
        for path, text in _texts(each, f"{each['kind']}/{each['metadata']['name']}")
        if WORD.search(CALLED_SO.sub("", text)) and not FIELDS.search(path)
    ]


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield f"{path}.{key} key", str(key)
            yield from _texts(each, f"{path}.{key}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, f"{path}.{number}")
    elif isinstance(value, str):
        yield path, value
