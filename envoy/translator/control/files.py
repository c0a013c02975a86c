"""
Writes configuration as files that a running Envoy watches.

Envoy reloads a file when another is renamed over it, so every file is written beside its place and renamed; a file
with unchanged content is not touched.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from translator.config.discovery import File, file_of


def write_files(folder: Path, files: Mapping[str, File]) -> list[str]:
    """
    Update a folder to *files*; return the paths of those that changed, in the order they were written.
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
    Remove what is no longer in *files*.
    """
    gone = [path for path in existing(folder) if path not in files]
    for path in gone:
        (folder / path).unlink()
    return gone


def read_files(folder: Path) -> dict[str, File]:
    """
    Return the discovery responses of a folder by their path, as the Envoy was given them.
    """
    return {
        path: file_of(kind_of(path), (folder / path).read_text(encoding="utf-8"))
        for path in existing(folder)
        if kind_of(path) != "bootstrap"
    }


def kind_of(path: str) -> str:
    """
    Return the kind of discovery that a file is for, such as `cds`.
    """
    return path.partition("/")[0].removesuffix(".json")


def existing(folder: Path) -> Iterator[str]:
    """
    Return the paths of a folder's configuration files.
    """
    for path in sorted(folder.rglob("*.json")):
        if not path.name.startswith("."):
            yield str(path.relative_to(folder))


def replace(target: Path, content: str) -> None:
    """
    Replace a file atomically.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(target)


def _order(path: str) -> tuple[int, str]:
    """
    Return the write order: what others refer to goes first: keys, endpoints, clusters, routes, listeners.
    """
    kinds = ("sds/", "eds/", "cds.json", "rds/", "lds.json", "bootstrap.json")
    return next(number for number, kind in enumerate(kinds) if path.startswith(kind)), path
