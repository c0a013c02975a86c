"""The runbooks as the board shows them, one for each alert."""

from __future__ import annotations

import re
from pathlib import Path

MAX_BYTES = 512 * 1024
_SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def load(file: Path) -> dict[str, str]:
    """
    Return each section of *file* by its heading, the alert's name; empty if there is no such file.
    """
    if not file.is_file() or file.stat().st_size > MAX_BYTES:
        return {}
    return {name: text.strip() for name, text in _SECTION.findall(file.read_text(encoding="utf-8"))}
