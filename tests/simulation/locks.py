"""PostgreSQL's locks: shared or not, with a fair queue, held by a transaction or a session until it ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass
class _Lock:
    held: dict[object, bool] = field(default_factory=dict)
    """By owner: whether it is shared."""
    waiting: deque[tuple[object, bool, asyncio.Future[None]]] = field(default_factory=deque)

    def free_for(self, owner: object, shared: bool) -> bool:
        others = [each for holder, each in self.held.items() if holder is not owner]
        return not others or (shared and all(others))


class Locks:
    """All locks of a server, by name."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, _Lock] = {}
        self._of: dict[object, dict[Hashable, None]] = {}
        """What each owner has or waits for."""

    def _lock(self, owner: object, name: Hashable) -> _Lock:
        self._of.setdefault(owner, {})[name] = None
        return self._locks.setdefault(name, _Lock())

    async def take(self, owner: object, name: Hashable, *, shared: bool = False) -> None:
        """
        Return once *owner* has the lock; whoever waits is served in turn.
        """
        lock = self._lock(owner, name)
        if owner in lock.held or (not lock.waiting and lock.free_for(owner, shared)):
            lock.held[owner] = lock.held.get(owner, shared) and shared
            return
        turn = asyncio.get_running_loop().create_future()
        lock.waiting.append((owner, shared, turn))
        await turn

    def try_take(self, owner: object, name: Hashable, *, shared: bool = False) -> bool:
        """
        Return whether *owner* has the lock now.
        """
        lock = self._lock(owner, name)
        if not lock.free_for(owner, shared):
            return False
        lock.held[owner] = shared
        return True

    def holders(self, name: Hashable) -> int:
        """
        Return how many have it.
        """
        return len(self._locks[name].held) if name in self._locks else 0

    def give_back(self, owner: object, name: Hashable) -> None:
        """
        End what *owner* has of one lock.
        """
        lock = self._locks.get(name)
        if lock is not None:
            lock.held.pop(owner, None)
            self._serve(lock)

    def give_back_all(self, owner: object) -> None:
        """
        End everything that *owner* has or waits for.
        """
        for name in self._of.pop(owner, ()):
            lock = self._locks.get(name)
            if lock is None:
                continue
            lock.waiting = deque(each for each in lock.waiting if each[0] is not owner)
            lock.held.pop(owner, None)
            self._serve(lock)
            if not lock.held and not lock.waiting:
                del self._locks[name]

    @staticmethod
    def _serve(lock: _Lock) -> None:
        while lock.waiting and lock.free_for(*lock.waiting[0][:2]):
            owner, shared, turn = lock.waiting.popleft()
            if not turn.done():
                lock.held[owner] = shared
                turn.set_result(None)
