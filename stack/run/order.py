"""
Runs steps in parallel, each as soon as its dependencies are done.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from threading import Event


def run_in_order(after: Mapping[str, frozenset[str]], work: Callable[[str, Event], None]) -> None:
    """
    Call *work* for every name in threads, each after the names it depends on.

    The first error stops it: no further name is started, the event that running calls were given is set, and the error
    is raised once they have returned.
    """
    sorter = TopologicalSorter(after)
    sorter.prepare()
    give_up = Event()
    with ThreadPoolExecutor(max_workers=max(1, len(after)), thread_name_prefix="step") as threads:
        running: dict[Future[None], str] = {}
        try:
            while sorter.is_active():
                for name in sorter.get_ready():
                    running[threads.submit(work, name, give_up)] = name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    sorter.done(running.pop(future))
        finally:
            give_up.set()
