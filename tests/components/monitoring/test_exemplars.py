"""From a slow call to its trace: what our histograms observe, Prometheus keeps with the trace's id."""

import contextlib
import json
from pathlib import Path

import httpx
import prometheus_client
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from runtime import interceptors, spans
from runtime.messaging.message import Message
from runtime.messaging.wrappers import measured
from stack.install import artifacts
from stack.run import write
from stack.settings import CHECKOUT, Settings
from stack.topology import stores
from stack.topology.passwords import Passwords
from stack.topology.plan import Plan
from tests.support.processes import Process, free_port
from tests.support.waiting import eventually

NETWORK = 253
METHOD, GROUP = "/tests.Exemplars/Call", "tests-exemplars"
MESSAGES = {"1" * 32: "01", "2" * 32: "00"}


@pytest.fixture
def metrics():
    """Return the address at which this process exports its metrics, as a service does."""
    port = free_port("127.0.0.1")
    server, thread = prometheus_client.start_http_server(port, addr="127.0.0.1")
    yield f"127.0.0.1:{port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def api(metrics, tmp_path):
    """Return the API of a Prometheus that runs as a stack's does."""
    settings = Settings(checkout=CHECKOUT, state=tmp_path, tools=tmp_path, network=NETWORK)
    passwords = Passwords(**dict.fromkeys(Passwords.__dataclass_fields__, "secret"))
    plan = Plan(settings=settings, passwords=passwords, programs=artifacts.programs())
    write._prometheus(plan)
    targets = Path(settings.conf, "prometheus", "targets", "applications.json")
    targets.write_text(json.dumps([{"targets": [metrics], "labels": {"service": "orders", "pod": "orders-0"}}]))
    described = stores.prometheus(plan)
    (tmp_path / "data" / described.name).mkdir(parents=True)
    process = Process(described.command, tmp_path / "prometheus.log").start()
    yield f"http://{described.listens[0]}/api/v1"
    process.kill()


def observe(sampler):
    """Observe a call of a second in a new trace, and return the trace's id."""
    tracer = TracerProvider(sampler=sampler).get_tracer("test")
    with tracer.start_as_current_span("call") as span:
        interceptors.SECONDS.labels(METHOD).observe(1.0, spans.exemplar())
    return trace.format_trace_id(span.get_span_context().trace_id)


async def test_an_observation_leads_to_its_trace_if_that_is_kept(api):
    async def nothing(_):
        pass

    kept, not_kept = observe(ALWAYS_ON), observe(ALWAYS_OFF)
    for trace_id, flags in MESSAGES.items():
        headers = {"traceparent": f"00-{trace_id}-00000000000000aa-{flags}"}
        await measured(GROUP)(nothing)([Message("t", 0, 1, b"k", b"v", headers, 0)])

    async def exemplars(query):
        async with httpx.AsyncClient() as client:
            parameters = {"query": query, "start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
            found = (await client.get(f"{api}/query_exemplars", params=parameters)).raise_for_status().json()["data"]
        return {each["labels"]["trace_id"]: series["seriesLabels"] for series in found for each in series["exemplars"]}

    async def there():
        with contextlib.suppress(httpx.HTTPError):
            return await exemplars(f'consumed_batch_seconds_bucket{{group="{GROUP}"}}')

    await eventually(there, within_s=60)
    calls = await exemplars(
        f'histogram_quantile(0.99, rate(grpc_server_handling_seconds_bucket{{grpc_method="{METHOD}"}}[1m]))'
    )
    assert set(calls) == {kept}
    assert not_kept not in calls
    assert (calls[kept]["job"], calls[kept]["pod"], calls[kept]["le"]) == ("applications", "orders-0", "1.0")
    assert set(await exemplars(f'consumed_batch_seconds_bucket{{group="{GROUP}"}}')) == {"1" * 32}
