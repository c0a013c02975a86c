"""
What the admin port of an Envoy says that has loaded a configuration, in the shape of Envoy 1.40.
"""

from collections.abc import Mapping
from typing import Any

from translator.config.discovery import KINDS, File, as_dict, files_of
from translator.config.translate import Configuration
from translator.control.admin import Loaded

UPDATED_MS = 1_795_783_143_000


def sections_of(configuration: Configuration) -> dict[str, dict[str, Any]]:
    """Return `/config_dump` by section."""
    version = {"major_number": 1, "minor_number": 40}
    return {
        "BootstrapConfigDump": {"bootstrap": {"node": {"user_agent_build_version": {"version": version}}}},
        "ClustersConfigDump": {
            "dynamic_active_clusters": [{"cluster": _any("clusters", each)} for each in configuration.clusters]
        },
        "ListenersConfigDump": {
            "dynamic_listeners": [
                {"active_state": {"listener": _any("listeners", each)}} for each in configuration.listeners
            ]
        },
        "RoutesConfigDump": {
            "dynamic_route_configs": [
                {"route_config": _any("routes", routes), "last_updated": "2026-11-27T12:39:03.777Z"}
                for routes in configuration.routes
            ]
        },
    }


def _any(group: str, message: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/{KINDS[group]}", **as_dict(message)}


def loaded_of(configuration: Configuration, *, refused: Mapping[str, int] | None = None) -> Loaded:
    """Return its statistics; *refused* are counts by the suffix of a subscription."""
    given = discovered(configuration)
    names = {file.subscription: file.version for file in given.values()}
    return Loaded(names, dict.fromkeys(names, 0) | dict(refused or {}), dict.fromkeys(names, UPDATED_MS))


def discovered(configuration: Configuration) -> dict[str, File]:
    """Return the files that the Envoy subscribes to."""
    return {path: file for path, file in files_of(configuration).items() if file.version}
