"""
Builds the images that do not exist yet, and provides them where they run.

    python3 -m images.build [cluster | compose]

BUILD is the build command (`docker build`), LOAD one that loads an image into a node without a registry (none by
default), PUSH=1 pushes to the registry named by REGISTRY.
"""

import json
import os
import shlex
import subprocess
import sys
import time

from images.catalogue import CHECKOUT, CLUSTER, EVERYTHING, Image, MissingInput

GROUPS = {"cluster": CLUSTER, "compose": EVERYTHING}
BUILD_S = 1800


def main() -> None:
    """Build the group of images that the command line names."""
    group = sys.argv[1] if len(sys.argv) > 1 else "cluster"
    if group not in GROUPS:
        sys.exit(f"images: {group!r} is not one of {', '.join(GROUPS)}")
    try:
        for image in GROUPS[group]:
            provide(image, group)
    except (MissingInput, BuildFailed) as error:
        sys.exit(f"images: {error}")


def provide(image: Image, group: str) -> None:
    """Build *image* unless it exists, then provide it where it runs; compose.yaml finds it by a fixed tag."""
    reference = image.reference()
    started = time.monotonic()
    if _exists(reference):
        if group == "cluster":
            _load(reference)
        word = "exists"
    else:
        _build(image, reference)
        word = "built"
    if group == "compose":
        _run(["docker", "tag", reference, f"{reference.rpartition(':')[0]}:compose"])
    if os.environ.get("PUSH") == "1":
        _run(["docker", "push", "-q", reference])
    print(f"images: {reference} {word} ({time.monotonic() - started:.0f} s)", flush=True)


def _build(image: Image, reference: str) -> None:
    command = shlex.split(os.environ.get("BUILD") or "docker build")
    arguments = [f"--build-arg={name}={value}" for name, value in image.arguments.items()]
    _run([*command, "-t", reference, "-f", image.dockerfile, *arguments, "."])


def _exists(reference: str) -> bool:
    return _run(["docker", "image", "inspect", reference], check=False).returncode == 0


def _load(reference: str) -> None:
    """Load an image into the node, unless the node reports that it has it."""
    load = shlex.split(os.environ.get("LOAD") or "")
    if load and reference not in _on_nodes():
        _run([*load, reference])


def _on_nodes() -> set[str]:
    listed = _run(["kubectl", "get", "nodes", "-o", "json"], check=False)
    if listed.returncode != 0:
        return set()
    nodes = json.loads(listed.stdout)["items"]
    return {name for node in nodes for image in node["status"].get("images", []) for name in image.get("names", [])}


class BuildFailed(Exception):
    """A command of the build failed; the message ends with its output."""


def _run(command: list[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    try:
        finished = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=BUILD_S, check=False)
    except FileNotFoundError:
        finished = subprocess.CompletedProcess(command, 127, "", f"{command[0]} is not installed")
    if check and finished.returncode != 0:
        output = (finished.stdout + finished.stderr).strip()[-3000:]
        raise BuildFailed(f"{shlex.join(command)} exited with {finished.returncode}:\n{output}")
    return finished


if __name__ == "__main__":
    main()
