"""What ends a drill."""

from __future__ import annotations

from stack.errors import StackError


class DrillFailed(StackError):
    """A promise was not kept, or a step did not end in its time; the message says which."""
