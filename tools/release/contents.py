"""What is in images: a software bill of materials of each, in SPDX."""

import hashlib
from pathlib import Path

from stack.settings import Settings
from tools import go_programs
from tools.release.images import Built
from tools.release.programs import run

SYFT = "v1.57.1"
PAGES = "gateway/web/package-lock.json"
"""The packages of the pages' scripts: bundled into files, so no image has them as packages."""


def syft(chosen: Settings) -> Path:
    """Return the path of syft, built if necessary; raises `NotThere` without Go."""
    return go_programs.program(chosen.tool(f"syft-{SYFT}"), "syft", f"github.com/anchore/syft/cmd/syft@{SYFT}")


def of_image(program: Path, image: Built, folder: Path) -> None:
    """Write NAME.spdx.json of an image that the engine has; raises `Failed`."""
    _scan(program, f"docker:{image.reference}", folder / f"{image.name}.spdx.json")


def of_the_pages(program: Path, lock: Path, folder: Path) -> None:
    """Write pages-scripts.spdx.json of the packages in the pages' lock file; raises `Failed`."""
    _scan(program, f"file:{lock}", folder / "pages-scripts.spdx.json")


def _scan(program: Path, source: str, target: Path) -> None:
    command = [str(program), "scan", "--quiet", source, "-o", f"spdx-json={target}"]
    # It would ask for a newer version of itself.
    run(command, SYFT_CHECK_FOR_APP_UPDATE="false")


def sums(folder: Path) -> None:
    """Write SHA256SUMS of the files, as `sha256sum --check` reads it."""
    lines = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(lines))
