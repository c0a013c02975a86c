"""Sampling the backlog while PostgreSQL is down and returns."""

import asyncpg
import grpc
import pytest

from chaos.lab import samples
from chaos.lab.samples import Sample, Sampler


class Connection:
    async def fetchval(self, _):
        return 3

    def terminate(self):
        pass


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        # While a member answers and none leads.
        asyncpg.TargetServerAttributeNotMatched("None of the hosts match"),
        asyncpg.InternalClientError("got result for unknown protocol state"),
        grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_outage_is_a_gap_and_sampling_goes_on_after_it(monkeypatch, error):
    answers = [error, Connection()]

    async def connect(*_, **__):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(samples.asyncpg, "connect", connect)
    sampler = Sampler("postgresql://", "edge", "prometheus", clock=lambda: 1.0)
    await sampler._sample()
    await sampler._sample()
    assert sampler.samples == [Sample(1.0, None, None), Sample(1.0, 3, 3)]
