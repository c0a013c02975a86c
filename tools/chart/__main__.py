"""
Generates the Helm chart from the overlay `production`, into build/chart/shop, and packs it.

Run as `python -m tools.chart` (`make chart`): it takes kubectl and the contract's build; with Go also helm, which lints
and packs it. REGISTRY is the images' registry, VERSION the chart's version.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from images.catalogue import MissingInput
from k8s import manifests
from k8s.kubectl import ClusterError
from k8s.names import WRITTEN
from stack import settings
from stack.settings import CHECKOUT, Settings
from tools import go_programs
from tools.chart.generate import Chart, chart
from tools.manifests.variants import VARIANTS, kustomized, render

FILES = Path(__file__).parent / "files"
OUTPUT = CHECKOUT / "build/chart"
HELM = "v3.22.0"
KUBERNETES = "v1.34.0"
ADDRESS = "10.96.0.1"
TIMEOUT_S = 120
# What the values are for, above each in values.yaml.
ABOUT = {
    "clusterDomain": "The cluster's domain of names, and Istio's trust domain.",
    "images": "A tag that begins with sha256: is a digest.",
    "issuer": "Your OIDC issuer, which signs customers' tokens.",
    "edge": "origins: other sites whose pages may call it. certificate: the name of a kubernetes.io/tls secret.",
    "stores": "bundled: false if they are elsewhere; the secret `stores` then has their addresses, egress says where.",
    "secrets": "create: draw those that do not exist. Not with a tool that renders without the cluster, like Argo CD.",
    "traces": "receiver: SERVICE.NAMESPACE of an OpenTelemetry Collector, none if empty; percent of calls traced.",
    "apiServer": "Its addresses for a network policy; asked from the cluster if empty.",
    "seedCatalogue": 'Whether an empty shop gets the example products, "true" or "false".',
}


def main() -> int:
    """Write the chart; 0 unless helm finds something wrong."""
    try:
        folder = write(OUTPUT)
    except (ClusterError, MissingInput) as error:
        print(f"chart: {error}")
        return 1
    print(f"chart: {folder.relative_to(CHECKOUT)}")
    try:
        program = helm(settings.read(os.environ, checkout=CHECKOUT))
    except go_programs.NotThere as error:
        print(f"chart: not linted, not packed: {error}")
        return 0
    return pack(program, folder, OUTPUT)


def pack(program: Path, folder: Path, output: Path) -> int:
    """Lint the chart in *folder* with helm and pack it into *output*; 0 unless something is wrong."""
    lint = [str(program), "lint", "--strict", str(folder), "--set", f"apiServer.addresses={{{ADDRESS}}}"]
    lint += ["--kube-version", KUBERNETES]
    package = [str(program), "package", str(folder), "-d", str(output)]
    return max(subprocess.run(each, timeout=TIMEOUT_S, check=False).returncode for each in (lint, package))


def helm(chosen: Settings) -> Path:
    """Return helm's path, built if necessary; raises `NotThere` without Go."""
    return go_programs.program(chosen.tool(f"helm-{HELM}"), "helm", f"helm.sh/helm/v3/cmd/helm@{HELM}")


def write(target: Path, *, digests: Mapping[str, str] = MappingProxyType({})) -> Path:
    """
    Write the chart's folder and return its path; images in *digests* are named by those.

    Raises `ClusterError` if the overlay does not render.
    """
    objects = kustomized(manifests.write("production", namespace=WRITTEN))
    made = chart(objects, render(VARIANTS["managed stores"]))
    made.values |= {"secrets": {"create": True}, "apiServer": {"addresses": [], "ports": [443, 6443]}}
    made.values["stores"]["bundled"] = True
    tags = made.values["images"]["tags"]
    tags |= {name: digests[name] for name in tags.keys() & digests.keys()}
    folder = target / "shop"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(FILES, folder)
    _write(folder, made)
    return folder


def _write(folder: Path, made: Chart) -> None:
    for name, text in made.templates.items():
        (folder / "templates" / name).write_text(text)
    version = os.environ.get("VERSION") or "0.1.0"
    about = {
        "apiVersion": "v2", "name": "shop", "type": "application", "version": version, "appVersion": version,
        "description": "A fault-tolerant order system in Istio's mesh", "kubeVersion": ">=1.30.0-0",
    }  # fmt: skip
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about, sort_keys=False))
    (folder / "values.yaml").write_text("".join(_part(name, value) for name, value in made.values.items()))


def _part(name: str, value: Any) -> str:
    about = f"# {ABOUT[name]}\n" if name in ABOUT else ""
    return about + yaml.safe_dump({name: value}, sort_keys=False, width=120)


if __name__ == "__main__":
    sys.exit(main())
