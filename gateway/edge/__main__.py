"""
Generates the edge's files from the contract.

    python -m gateway.edge [--descriptors FILE] [--output FOLDER] [--openapi FILE] [--namespace NAME]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from gateway.edge import contract, filters, openapi

BUILD = Path(__file__).resolve().parents[2] / "build"
HEAD = "# Generated from the contract by `python -m gateway.edge`; do not edit.\n"


def main(arguments: list[str] | None = None) -> None:
    """
    Write the EnvoyFilter, its kustomization and the OpenAPI document; exit with an error if the contract is unusable.
    """
    options = _parser().parse_args(arguments)
    try:
        read = contract.load(options.descriptors)
    except contract.UnusableContract as error:
        sys.exit(f"gateway: {error}")
    options.output.mkdir(parents=True, exist_ok=True)
    edge = filters.edge_api(read, namespace=options.namespace)
    write(options.output / "edge-api.yaml", edge)
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    write(options.output / "kustomization.yaml", kustomization | {"resources": ["edge-api.yaml"]})
    options.openapi.write_text(json.dumps(openapi.document(read), indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[1])
    parser.add_argument("--descriptors", type=Path, default=BUILD / "descriptors.binpb")
    parser.add_argument("--output", type=Path, default=BUILD / "istio", help="output folder")
    parser.add_argument("--openapi", type=Path, default=BUILD / "openapi.json", help="path of the OpenAPI document")
    parser.add_argument("--namespace", default="shop", help="namespace of the resources")
    return parser


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that writes multi-line strings as blocks, for readability."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def write(path: Path, resource: dict[str, Any]) -> None:
    """
    Write *resource* to *path* as YAML, atomically, so that a watcher never reads half a file.
    """
    text = HEAD + yaml.dump(resource, Dumper=_Dumper, sort_keys=False, width=120)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    main()
