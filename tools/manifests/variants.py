"""The overlays, and what each component of k8s/ that is in none of them makes of one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stack.settings import CHECKOUT

RENDERED = ("k8s", "istio", "monitoring")
# Resources for another namespace or a moment, in no overlay.
EXAMPLES = ("k8s/*/examples/*.yaml", "k8s/progressive/by-hand/one-caller.yaml", "chaos/faults/*.yaml")
TIMEOUT_S = 60
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LAST = "- ../../hardening\n"


@dataclass(frozen=True)
class Variant:
    """An overlay with other components, as its comments tell a person to write it."""

    overlay: str
    added: tuple[str, ...] = ()
    """Components in front of the last one, as folders of k8s/."""
    last: tuple[str, ...] = ()
    """Components behind it."""
    above: tuple[str, ...] = ()
    """Components of an overlay above this one."""
    resources: tuple[str, ...] = ()
    """Files of k8s/ that are copied beside that overlay's, as its resources."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Components of the overlay, and the folder of k8s/ that takes the place of each."""


HOST = ("host/example.yaml",)
VARIANTS: Mapping[str, Variant] = {
    "one-node": Variant("one-node"),
    "production": Variant("production"),
    "managed stores": Variant("production", replaced={"stores": "managed-stores"}),
    "operators": Variant("production", replaced={"stores": "operators"}),
    "prometheus-operator": Variant("production", added=("prometheus-operator",), last=("probe",)),
    "canary by hand": Variant("production", last=("progressive/by-hand",)),
    "argo rollouts": Variant("production", added=("progressive/argo-rollouts",)),
    "host": Variant("one-node", above=("host",), resources=HOST),
    "public certificate": Variant("production", above=("host", "certificate", "external-secrets"), resources=HOST),
    "shared gateway": Variant("production", above=("host", "gateway-api"), resources=HOST),
    "gitops": Variant("production", above=("gitops",)),
    "options": Variant("production", added=("priorities", "scaling-by-requests")),
}


def render(variant: Variant, checkout: Path = CHECKOUT) -> list[dict[str, Any]]:
    """Return the objects of a variant; raises `ValueError` with what kubectl says if it does not render."""
    with tempfile.TemporaryDirectory() as folder:
        for name in RENDERED:
            shutil.copytree(checkout / name, Path(folder, name))
        overlay = Path(folder, "k8s/overlays", variant.overlay)
        _edit(overlay / "kustomization.yaml", variant)
        if not variant.above:
            return kustomized(overlay)
        return kustomized(_above(overlay.parent / "above", variant))


def _above(folder: Path, variant: Variant) -> Path:
    """Write an overlay above the variant's and return its folder."""
    folder.mkdir()
    files = [Path(shutil.copy(folder.parents[1] / each, folder)).name for each in variant.resources]
    content = {
        "namespace": "shop",
        "resources": [f"../{variant.overlay}", *files],
        "components": [f"../../{each}" for each in variant.above],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return folder


def examples(checkout: Path = CHECKOUT) -> list[dict[str, Any]]:
    """Return the resources of all examples."""
    files = sorted(path for pattern in EXAMPLES for path in checkout.glob(pattern))
    return [each for path in files for each in parsed(path.read_text())]


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of a kustomization; raises `ValueError` with what kubectl says if it does not render."""
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return parsed(done.stdout)


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the objects of a text of YAML documents."""
    return [each for each in yaml.load_all(text, Loader=_LOADER) if each]


def _edit(path: Path, variant: Variant) -> None:
    text = path.read_text()
    for old, new in variant.replaced.items():
        if f"\n- {old}\n" not in text:
            raise ValueError(f"{path.parent.name} has no component {old}")
        text = text.replace(f"\n- {old}\n", f"\n- ../../{new}\n")
    added, last = ("".join(f"- ../../{each}\n" for each in some) for some in (variant.added, variant.last))
    path.write_text(text.replace(LAST, f"{added}{LAST}{last}"))
