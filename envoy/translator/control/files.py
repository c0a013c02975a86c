"""
Writes configuration as files that a running Envoy takes up.

Envoy reads a file that it subscribed to when another is moved into its place, so every file is written
beside its place and moved in; a file whose content stays the same is not touched.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from translator.config.discovery import File


def write_files(folder: Path, files: Mapping[str, File]) -> list[str]:
    """
    Bring a folder's files to *files*; the paths of those that changed, in the order they were written.
    """
    changed = []
    for path, file in sorted(files.items(), key=lambda item: _order(item[0])):
        target = folder / path
        if not target.exists() or target.read_text(encoding="utf-8") != file.content:
            replace(target, file.content)
            changed.append(path)
    return changed


def remove_files(folder: Path, files: Mapping[str, File]) -> list[str]:
    """
    Remove what *files* no longer has.
    """
    gone = [path for path in existing(folder) if path not in files]
    for path in gone:
        (folder / path).unlink()
    return gone


def existing(folder: Path) -> Iterator[str]:
    """
    The paths of a folder's configuration files.
    """
    for path in sorted(folder.rglob("*.json")):
        if not path.name.startswith("."):
            yield str(path.relative_to(folder))


def replace(target: Path, content: str) -> None:
    """
    Put a file in its place in one step.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(target)


def _order(path: str) -> tuple[int, str]:
    """
    What others refer to goes first: keys, endpoints, clusters, routes, listeners.
    """
    kinds = ("sds/", "eds/", "cds.json", "rds/", "lds.json", "bootstrap.json")
    return next(number for number, kind in enumerate(kinds) if path.startswith(kind)), path
