"""The arguments of scripts, and the mapping of Redis errors."""

from importlib import resources

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.refusals import Rebuilding
from inventory_svc.scripts import ALONE, EVENTS, MARKER, REBUILD_LOCK, Scripts
from runtime.errors import Internal, Unavailable


class Redis:
    """Returns or raises *reply* for every script; records texts and calls."""

    def __init__(self):
        self.texts, self.calls, self.reply = [], [], [0]

    def register_script(self, text):
        self.texts.append(text)

        async def script(*, keys, args):
            self.calls.append((text, keys, args))
            if isinstance(self.reply, Exception):
                raise self.reply
            return self.reply

        return script


@pytest.fixture
def redis():
    return Redis()


@pytest.fixture
def current():
    current = CurrentGeneration()
    current.adopt(Position(4, 7))
    return current


@pytest.fixture
def scripts(redis, current):
    return Scripts(redis, current)


def test_the_common_part_precedes_every_script_but_standalone_ones(redis, scripts):
    common = (resources.files("inventory_svc") / "lua" / "common.lua").read_text()
    alone = [text for text in redis.texts if not text.startswith(common)]
    assert len(alone) == len(ALONE)
    assert len(redis.texts) > 10


async def test_a_script_gets_the_known_sequence_and_returns_the_current_one(redis, current, scripts):
    redis.reply = ["9", "a", "b"]
    assert await scripts.call("browse", "x", 5) == ["a", "b"]
    [(_, keys, arguments)] = redis.calls
    assert keys == [MARKER, EVENTS, REBUILD_LOCK]
    assert arguments == [4, 7, "x", 5, ""]
    assert current.known() == Position(4, 9)


async def test_a_standalone_script_gets_only_its_arguments(redis, current, scripts):
    redis.reply = 3
    assert await scripts.call_alone("unlink", ["k"], "a", 1) == 3
    assert redis.calls[0][1:] == (["k"], ["a", 1])
    assert current.known() == Position(4, 7)


@pytest.mark.parametrize(
    ("error", "kind", "doubted"),
    [
        (ResponseError("GENERATION is another"), Rebuilding, True),
        (ResponseError("BEHIND what was seen"), Rebuilding, True),
        (ResponseError("STOCK_REBUILDING now"), Rebuilding, False),
        (ResponseError("MISCONF disk"), Unavailable, False),
        (ResponseError("NOREPLICAS"), Unavailable, False),
        (ResponseError("BUSY"), Unavailable, False),
        (OutOfMemoryError("command not allowed"), Unavailable, False),
        (ReadOnlyError("replica"), Unavailable, False),
        (RedisConnectionError("gone"), Unavailable, False),
        (TimeoutError(), Unavailable, False),
        (ResponseError("ERR attempt to compare"), Internal, False),
    ],
)
async def test_script_errors_are_mapped(redis, current, scripts, error, kind, doubted):
    redis.reply = error
    with pytest.raises(kind) as refused:
        await scripts.call("browse")
    assert type(refused.value) is kind
    assert current.doubted.is_set() is doubted
    assert current.known() == Position(4, 7)
    if kind is Unavailable:
        assert (refused.value.reason, refused.value.metadata) == ("STOCK_UNAVAILABLE", {"error": type(error).__name__})


@pytest.mark.parametrize("error", [ResponseError("ERR"), RedisConnectionError("gone"), OSError()])
async def test_errors_of_a_standalone_script_are_retryable(redis, scripts, error):
    redis.reply = error
    with pytest.raises(Unavailable):
        await scripts.call_alone("unlink", [])


async def test_no_script_runs_without_a_generation(redis, scripts, current):
    current.withdraw()
    with pytest.raises(Rebuilding):
        await scripts.call("browse")
    assert redis.calls == []
