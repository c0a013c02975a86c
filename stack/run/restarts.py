"""
Counts restarts: a supervisord event listener for processes that exited unexpectedly.

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
    """Return how often each process exited unexpectedly; empty before the first time."""
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
