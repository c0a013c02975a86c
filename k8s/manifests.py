"""
Writes an overlay as files that a GitOps tool applies by itself, for a repository of yours.

    python3 -m k8s.manifests

They are complete: the contract's EnvoyFilter, the images' names in REGISTRY, the order of the stages (k8s/gitops).
"""

import json
import os
import shutil
import sys
from pathlib import Path

from images.catalogue import CHECKOUT, MissingInput
from k8s import render
from k8s.kubectl import NAMESPACE, ClusterError

OUTPUT = Path("build/gitops")
# For Flux, which has no order within a Kustomization: the stages of each, in the order of their dependencies.
FOLDERS = {
    "foundation": ("namespace", "foundation"),
    "store": ("store",),
    "mesh": ("mesh",),
    "migration": ("migration",),
    "service": ("service",),
}
DELETE = "apiVersion: any/v1\nkind: Any\nmetadata: {name: any}\n$patch: delete\n"


def main() -> None:
    """Write them, or exit with an error."""
    overlay = os.environ.get("OVERLAY") or "production"
    try:
        print(f"manifests: {write(overlay).relative_to(CHECKOUT)}: what belongs into your repository")
    except (ClusterError, MissingInput) as error:
        sys.exit(f"manifests: {error}")


def write(overlay: str, checkout: Path = CHECKOUT, *, namespace: str = NAMESPACE) -> Path:
    """Write the folder of an overlay and return its path; raises `ClusterError` if it does not render."""
    rendered = render.manifests(overlay, checkout, components=("gitops",), namespace=namespace)
    folder = checkout / OUTPUT / overlay
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "all").mkdir(parents=True)
    shutil.copy(rendered, folder / "all/manifests.yaml")
    _kustomization(folder / "all", {"resources": ["manifests.yaml"]})
    _kustomization(folder, {"resources": ["all"]})
    for name, stages in FOLDERS.items():
        others = {"target": {"labelSelector": f"stage notin ({','.join(stages)})"}, "patch": DELETE}
        _kustomization(folder / "flux" / name, {"resources": ["../../all"], "patches": [others]})
    return folder


def _kustomization(folder: Path, content: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    head: dict[str, object] = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(json.dumps(head | content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
