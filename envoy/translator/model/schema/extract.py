"""
Extracts the schemas in this folder from Istio's published custom resource definitions.

Run with the path of `customresourcedefinitions.gen.yaml` (see README.md for where it comes from).
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

KINDS = frozenset(
    {
        "AuthorizationPolicy",
        "DestinationRule",
        "EnvoyFilter",
        "Gateway",
        "PeerAuthentication",
        "RequestAuthentication",
        "ServiceEntry",
        "Sidecar",
        "Telemetry",
        "VirtualService",
        "WorkloadEntry",
    }
)


def without_prose(node: Any) -> Any:
    """
    Remove the descriptions, which are most of the size and not needed for validation.
    """
    if isinstance(node, dict):
        return {
            key: without_prose(value)
            for key, value in node.items()
            if key != "description" or not isinstance(value, str)
        }
    return [without_prose(item) for item in node] if isinstance(node, list) else node


def main(source: Path) -> None:
    """
    Write `<kind>.json` with the group, the versions and the schema of each kind's `spec`.
    """
    for document in yaml.safe_load_all(source.read_text()):
        if not document or document["spec"]["names"]["kind"] not in KINDS:
            continue
        kind, versions = document["spec"]["names"]["kind"], document["spec"]["versions"]
        extracted = {
            "group": document["spec"]["group"],
            "versions": [version["name"] for version in versions],
            "spec": without_prose(versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]),
        }
        target = Path(__file__).with_name(f"{kind}.json")
        target.write_text(json.dumps(extracted, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
