"""
Queries running Envoys through their admin ports for the configuration they have loaded.
"""

import asyncio
import http.client
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from translator.model.registry import SocketAddress

TIMEOUT_S = 2.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
STATISTICS = r"(version_text|update_rejected|update_failure|update_time)$"
VERSION = re.compile(r"^(?P<name>.+)\.version_text: \"(?P<version>[^\"]*)\"$", re.MULTILINE)
# What Envoy cannot parse at all is counted as a failure, what it can parse and refuses as a rejection.
REFUSED = re.compile(r"^(?P<name>.+)\.update_(?:rejected|failure): (?P<count>\d+)$", re.MULTILINE)
UPDATED = re.compile(r"^(?P<name>.+)\.update_time: (?P<ms>\d+)$", re.MULTILINE)

# An Envoy's configuration by the name of its section, such as `ClustersConfigDump`.
Sections: TypeAlias = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Loaded:
    """
    What an Envoy has loaded: the version of each subscription, the number of its updates that Envoy refused, and when
    it took the last one, in milliseconds since 1970.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    updated_ms: Mapping[str, int] = field(default_factory=dict)


async def get(address: SocketAddress, path: str) -> str | None:
    """
    Return the response of an admin port; None without a response in time.
    """
    return await asyncio.to_thread(_get, address, path)


async def loaded(address: SocketAddress) -> Loaded | None:
    """
    Return what an Envoy has loaded; None if it is not running.
    """
    text = await get(address, f"/stats?filter={STATISTICS}")
    if text is None:
        return None
    return loaded_in(text)


def loaded_in(text: str) -> Loaded:
    """
    Return what an Envoy has loaded by its statistics.
    """
    refused: Counter[str] = Counter()
    for match in REFUSED.finditer(text):
        refused[match["name"]] += int(match["count"])
    return Loaded(
        {match["name"]: match["version"] for match in VERSION.finditer(text)},
        refused,
        {match["name"]: int(match["ms"]) for match in UPDATED.finditer(text)},
    )


async def config_dump(address: SocketAddress) -> Sections | None:
    """
    Return the configuration that an Envoy has by the name of its section; None if it is not running.
    """
    text = await get(address, "/config_dump?include_eds")
    if text is None:
        return None
    sections = json.loads(text).get("configs", ())
    return {str(section.get("@type", "")).rpartition(".")[2]: section for section in sections}


def _get(address: SocketAddress, path: str) -> str | None:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read(MAX_ANSWER_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
