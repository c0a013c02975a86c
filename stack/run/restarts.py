"""
Counts restarts: supervisord tells this listener of every process that ended by itself.

Run by supervisord as `python -m stack.run.restarts FILE`.
"""

import json
import os
import sys
from pathlib import Path

from supervisor import childutils


def main(path: Path) -> None:
    """Write the counts to *path* after each event, until supervisord closes the pipe."""
    counts = load(path)
    while True:
        _, payload = childutils.listener.wait()
        name = childutils.get_headers(payload)["processname"]
        counts[name] = counts.get(name, 0) + 1
        _write(path, counts)
        childutils.listener.ok()


def load(path: Path) -> dict[str, int]:
    """How often each process ended without having been told to; empty when none has."""
    try:
        return {name: int(count) for name, count in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}


def _write(path: Path, counts: dict[str, int]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(counts))
    os.replace(draft, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
