"""
Queries running Envoys through their admin ports for the configuration they have loaded.
"""

import asyncio
import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from translator.model.registry import SocketAddress

TIMEOUT_S = 2.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
STATISTICS = r"(version_text|update_rejected)$"
VERSION = re.compile(r"^(?P<name>.+)\.version_text: \"(?P<version>[^\"]*)\"$", re.MULTILINE)
REJECTED = re.compile(r"^(?P<name>.+)\.update_rejected: (?P<count>\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Loaded:
    """
    What an Envoy has loaded: the version of each subscription, and the number of rejections.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)


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
    versions = {match["name"]: match["version"] for match in VERSION.finditer(text)}
    return Loaded(versions, {match["name"]: int(match["count"]) for match in REJECTED.finditer(text)})


def subscription(path: str) -> str:
    """
    Return how the statistics name the subscription to a file, by the suffix of their name.
    """
    kinds = {"lds.json": "listener_manager.lds", "cds.json": "cluster_manager.cds"}
    return kinds.get(path, path)


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
