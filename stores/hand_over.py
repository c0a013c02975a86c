"""
Has a PostgreSQL leader that is about to be stopped hand over to its synchronous replica first.

    python hand_over.py URL    where URL is the own Patroni's, such as http://127.0.0.1:8008

Reads PATRONI_RESTAPI_USERNAME and PATRONI_RESTAPI_PASSWORD. Never stands in the way of the stop for longer than
`LIMIT_S`: without a replica that could take over there is nothing to hand over to. Standard library only, since it
runs beside Patroni alone.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

# A member that was stopped just before is a synchronous replica again within seconds.
LIMIT_S = 20.0
PAUSE_S = 0.5
ASK_S = 3.0
# What Patroni calls a replica that has every acknowledged commit.
CURRENT = ("sync_standby", "quorum_standby")


class NoHandOver(Exception):
    """The leader still leads; the message says why."""


class _NotNow(Exception):
    """Worth another try."""


def hand_over(url: str, credentials: tuple[str, str], *, limit_s: float = LIMIT_S) -> str | None:
    """
    Return who leads in place of the member at *url*, or None if that did not lead.

    Raises `NoHandOver` when nobody has taken over within *limit_s*, and at once when no other member runs.
    """
    end = time.monotonic() + limit_s
    while True:
        try:
            own = _ask(f"{url}/patroni")["patroni"]["name"]
            members = {each["name"]: each for each in _ask(f"{url}/cluster")["members"]}
            if members.get(own, {}).get("role") != "leader":
                return None
            candidate = _candidate(members, own)
            _switch(url, own, candidate, credentials, within_s=max(ASK_S, end - time.monotonic()))
            return candidate
        except (OSError, ValueError, KeyError) as error:
            reason = f"Patroni does not answer: {error}"
        except _NotNow as error:
            reason = str(error)
        if time.monotonic() + PAUSE_S > end:
            raise NoHandOver(reason)
        time.sleep(PAUSE_S)


def _candidate(members: Mapping[str, Mapping[str, Any]], own: str) -> str:
    """Return the member that may take over."""
    others = [each for name, each in members.items() if name != own]
    if not any(each["state"] in ("streaming", "running", "starting") for each in others):
        raise NoHandOver("no other member runs")
    current = [str(each["name"]) for each in others if each["role"] in CURRENT and each["state"] == "streaming"]
    if not current:
        raise _NotNow("no replica is synchronous")
    # A rolling restart takes the highest number first, so a member above this one has had its restart already.
    return max(current)


def _switch(url: str, leader: str, candidate: str, credentials: tuple[str, str], *, within_s: float) -> None:
    """Have Patroni switch over, and wait for it."""
    body = json.dumps({"leader": leader, "candidate": candidate}).encode()
    request = urllib.request.Request(f"{url}/switchover", data=body, method="POST")  # noqa: S310 - our own Patroni's
    request.add_header("authorization", "Basic " + base64.b64encode(":".join(credentials).encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=within_s):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        raise _NotNow(f"Patroni refuses ({error.code}): {error.read(500).decode(errors='replace')}") from error


def _ask(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:  # noqa: S310 - our own Patroni's
            return json.load(answer)
    except urllib.error.HTTPError as error:
        # A member that is not well says so with a code, and in its answer what it is.
        return json.load(error)


def main() -> None:
    """Hand over, and print what came of it; never fails, since what follows is a stop in any case."""
    credentials = os.environ["PATRONI_RESTAPI_USERNAME"], os.environ["PATRONI_RESTAPI_PASSWORD"]
    try:
        leader = hand_over(sys.argv[1], credentials)
        sys.stdout.write(f"{leader} leads\n" if leader else "nothing to hand over\n")
    except NoHandOver as error:
        sys.stdout.write(f"not handed over: {error}\n")


if __name__ == "__main__":
    main()
