"""
Writes a release into build/release/VERSION: the Helm chart, the images with their digests, and what is in each of them.

Run as `python -m tools.release` (`make release`), once the images are built. It takes docker, kubectl, Go and the
contract's build. With PUSH=1 the images are in REGISTRY, so that the chart names them by digest, else by tag.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path

from images.catalogue import CLUSTER, MissingInput, default_registry
from k8s.kubectl import ClusterError
from stack import settings
from stack.settings import CHECKOUT, Settings
from tools import go_programs
from tools.chart import __main__ as chart
from tools.release import contents
from tools.release.images import Built, built
from tools.release.programs import Failed, run

OUTPUT = CHECKOUT / "build/release"
# https://semver.org, without build metadata, which neither a tag nor an OCI reference may have.
VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")


def main() -> int:
    """Write it; 0 if it is complete."""
    version, push = os.environ.get("VERSION", ""), os.environ.get("PUSH") == "1"
    if not VERSION.fullmatch(version):
        print(f"release: VERSION={version!r}: set it to a semantic version, such as 1.2.3")
        return 1
    try:
        folder = release(version, settings.read(os.environ, checkout=CHECKOUT), push=push)
    except (ClusterError, Failed, MissingInput, go_programs.NotThere) as error:
        print(f"release: {error}")
        return 1
    say(f"{folder.relative_to(CHECKOUT)}")
    return 0


def release(version: str, chosen: Settings, *, push: bool, output: Path = OUTPUT) -> Path:
    """Return the folder of the release; raises `Failed` if something is missing or does not fit."""
    commit, changed = _commit()
    if push and changed:
        raise Failed("a release is of a commit, but the checkout has changes: git status")
    helm, syft = chart.helm(chosen), contents.syft(chosen)
    images = [built(image, default_registry()) for image in CLUSTER]
    missing = [each.name for each in images if not each.digest]
    if push and missing:
        raise Failed(f"the registry has no digest of {', '.join(missing)}")
    if missing:
        say(f"not in a registry, so named by tag: {', '.join(missing)}; PUSH=1 pushes")
    folder = output / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    about = {"version": version, "commit": commit, "modified": changed, "images": [each.about() for each in images]}
    (folder / "images.json").write_text(json.dumps(about, indent=1) + "\n")
    _chart(helm, folder, images)
    for each in images:
        contents.of_image(syft, each, folder)
        say(f"contents of {each.reference}")
    contents.of_the_pages(syft, CHECKOUT / contents.PAGES, folder)
    contents.sums(folder)
    return folder


def _chart(helm: Path, folder: Path, images: list[Built]) -> None:
    """Pack the chart into *folder*; raises `Failed` if helm finds something wrong."""
    made = chart.write(folder, digests={each.name: each.digest for each in images if each.digest})
    if chart.pack(helm, made, folder):
        raise Failed("the chart is not as helm wants it, see above")
    shutil.rmtree(made)


def _commit() -> tuple[str, bool]:
    """Return the commit of the checkout, and whether something in it is not committed."""
    commit = run(["git", "rev-parse", "HEAD"]).strip()
    return commit, bool(run(["git", "status", "--porcelain"]).strip())


def say(line: str) -> None:
    """Print a line of progress."""
    print(f"release: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
