"""Redis as inventory sees it through redis-py: a server with its data, and a client that reaches it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as TimedOut

from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.redis_data import Data
from tests.simulation.virtual import EPOCH_S

HOST = "redis"
TIMEOUT_S = 1.0


class Server:
    """A Redis that writes every command to its disk before it answers: a restart loses nothing."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self.network = network
        self.rng = rng
        self.up = True
        self.process = Process(HOST)
        self.data = Data(self.clock)
        self.after_script: Callable[[Data], None] | None = None
        self._changed = asyncio.Event()
        self._renew()

    def clock(self) -> float:
        """
        Return its time, in seconds since 1970.
        """
        return EPOCH_S + asyncio.get_running_loop().time() + self.process.skew_s

    def _renew(self) -> None:
        self.data.run_id = f"{self.rng.getrandbits(160):040x}"

    def stop(self) -> None:
        """
        End; answers under way are lost.
        """
        self.up = False
        self.process.die()

    def forget(self) -> None:
        """
        Lose all data.
        """
        on_event, self.data = self.data.on_event, Data(self.clock)
        self.data.on_event = on_event

    def start(self) -> None:
        """
        Start again, with its data.
        """
        self.up = True
        self.process = Process(HOST)
        self._renew()

    def do(self, command: tuple[str, ...]) -> Any:
        """
        Do a command, or return what it fails with.
        """
        try:
            reply = self.data.call(*command)
        except ResponseError as error:
            return error
        if command[0] == "EVALSHA":
            self._changed.set()
            self._changed = asyncio.Event()
            if self.after_script is not None:
                self.after_script(self.data)
        return reply

    async def serve(self, client: str, commands: list[tuple[str, ...]], block_s: float, done: Any) -> None:
        """
        Receive *commands*, do them one after the other, and answer.
        """
        await self.network.travel(client, HOST)
        replies = [self.do(command) for command in commands]
        end = asyncio.get_running_loop().time() + block_s
        while replies == [None] and block_s and asyncio.get_running_loop().time() < end:
            try:
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
            except TimeoutError:
                break
            replies = [self.do(command) for command in commands]
        await self.network.travel(HOST, client)
        if not done.done():
            done.set_result(replies)


class Client(Redis):
    """redis-py's client with another way to the server."""

    def __init__(self, server: Server, client: str, *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(decode_responses=True, protocol=2)
        self._server = server
        self._client = client
        self._timeout_s = timeout_s

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        """
        Send a command; a connection that is lost is replaced once, and the command is sent again.
        """
        command = _packed(words)
        if command[0] == "SCRIPT LOAD":
            sha = hashlib.sha1(str(words[1]).encode(), usedforsecurity=False).hexdigest()
            self._server.data.scripts[sha] = str(words[1])
            return sha
        block_s = float(command[command.index("BLOCK") + 1]) / 1000 if "BLOCK" in command else 0.0
        (reply,) = await self.exchange([command], block_s)
        if isinstance(reply, Exception):
            raise reply
        callback = self.response_callbacks.get(command[0])
        return _decoded(reply) if callback is None else callback(_decoded(reply), **options)

    async def exchange(self, commands: list[tuple[str, ...]], block_s: float = 0.0) -> list[Any]:
        """
        Return the replies to *commands*.
        """
        try:
            return await self._once(commands, block_s)
        except Disconnected:
            return await self._once(commands, block_s)

    async def _once(self, commands: list[tuple[str, ...]], block_s: float) -> list[Any]:
        server = self._server
        if not server.up and not server.network.is_cut(self._client, HOST):
            await asyncio.sleep(server.network.delay_s())
            raise Disconnected("Error connecting: nobody listens")
        done = asyncio.get_running_loop().create_future()
        process = server.process
        process.start(server.serve(self._client, commands, block_s, done))

        def lost() -> None:
            if not done.done():
                done.set_exception(Disconnected("Connection closed by server."))

        process.on_death.append(lost)
        if server.network.reset():
            asyncio.get_running_loop().call_later(server.rng.random() * 0.003, lost)
        try:
            async with asyncio.timeout(self._timeout_s):
                return list(await done)
        except TimeoutError as error:
            raise TimedOut("Timeout reading") from error
        finally:
            if lost in process.on_death:
                process.on_death.remove(lost)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        """
        Return what gathers commands and sends them together.
        """
        return Together(self)


class Together:
    """A pipeline without a transaction."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._commands: list[tuple[str, ...]] = []

    async def __aenter__(self) -> Together:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._commands = []

    def hset(self, name: str, mapping: dict[str, Any]) -> None:
        """
        Add an HSET.
        """
        self._commands.append(_packed(("HSET", name, *(each for pair in mapping.items() for each in pair))))

    async def execute(self) -> list[Any]:
        """
        Send what was added.
        """
        return await self._client.exchange(self._commands)


def _packed(words: tuple[Any, ...]) -> tuple[str, ...]:
    """
    Return the words of a command as bytes, each a character.
    """
    return tuple(
        word.decode("latin-1") if isinstance(word, bytes) else str(word).encode().decode("latin-1") for word in words
    )


def _decoded(reply: Any) -> Any:
    if isinstance(reply, str):
        return reply.encode("latin-1").decode(errors="replace")
    if isinstance(reply, list):
        return [_decoded(each) for each in reply]
    return reply
