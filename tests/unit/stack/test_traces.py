"""Tracing on a stack: its extra processes, and the conversion of spans for the viewer."""

import dataclasses

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from stack import settings as stack_settings
from stack.run import write
from stack.settings import CHECKOUT
from stack.spans import translated
from stack.topology import configuration, system, traces, workloads
from translator.checks.validation import Checker
from translator.config.translate import translate
from translator.model.mesh import Mesh
from translator.model.registry_file import load_registry

OTLP = "http://127.77.17.1:4317"


@pytest.fixture
def traced(plan):
    return dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, traces=True))


def test_only_a_traced_stack_sends_spans_and_has_a_viewer(plan, traced):
    for each, wanted in ((plan, False), (traced, True)):
        assert ({"zipkin-0", "spans-0"} <= set(system.steps(each))) == wanted
        for service in ("orders", "inventory"):
            environment = workloads.service_environment(each, service, 0)
            assert environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") == (OTLP if wanted else None)
        providers = yaml.safe_load(configuration.registry(each))["extensionProviders"]
        assert [provider["name"] for provider in providers] == (["traces"] if wanted else [])


def test_every_envoy_of_a_traced_stack_sends_spans_with_our_rules(traced, tmp_path):
    (tmp_path / "registry.yaml").write_text(configuration.registry(traced))
    own = tmp_path / "istio"
    own.mkdir()
    (own / "traces.yaml").write_text(traces.service_entry(traced))
    resources = Checker().load(CHECKOUT / "istio", own)
    made = translate(
        Mesh(load_registry(tmp_path / "registry.yaml"), resources), out=tmp_path, certificates=tmp_path / "certificates"
    )
    assert len(made) == 6
    for envoy in made:
        tracers = [str(each).count("envoy.tracers.opentelemetry") for each in envoy.listeners]
        assert sum(tracers) >= 1, envoy.workload.name


def test_tracing_is_off_by_default_and_stays_on_once_enabled(plan, traced, tmp_path):
    def chosen(**environ):
        return stack_settings.read(
            {"STATE": str(plan.settings.state), **environ}, checkout=tmp_path / "checkout"
        ).traces

    (plan.settings.conf / "istio").mkdir(parents=True)
    assert (chosen(), chosen(TRACES="1")) == (False, True)
    write._traces(traced)
    assert (chosen(), chosen(TRACES="0")) == (True, False)
    write._traces(plan)
    assert not chosen()
    assert list((plan.settings.conf / "istio").iterdir()) == []
    with pytest.raises(stack_settings.SettingsError, match="TRACES"):
        chosen(TRACES="2")


def test_the_kept_share_of_traces_is_stored_and_passed_to_the_receiver(plan, traced, tmp_path):
    def chosen(**environ):
        environ = {"STATE": str(plan.settings.state), **environ}
        return stack_settings.read(environ, checkout=tmp_path / "checkout").traces_kept

    (plan.settings.conf / "istio").mkdir(parents=True)
    assert (chosen(), chosen(TRACES_KEPT="5")) == (100, 5)
    few = dataclasses.replace(traced, settings=dataclasses.replace(traced.settings, traces_kept=5))
    write._traces(few)
    assert chosen() == 5
    assert system.steps(few)["spans-0"].command[-1] == "5"
    with pytest.raises(stack_settings.SettingsError, match="TRACES_KEPT"):
        chosen(TRACES_KEPT="101")


def attribute(key, **value):
    return KeyValue(key=key, value=AnyValue(**value))


def request(*spans, service="orders"):
    resource = Resource(
        attributes=[
            attribute("service.name", string_value=service),
            attribute("service.instance.id", string_value="orders-1"),
        ]
    )
    return trace_service_pb2.ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=spans)])]
    )


SPAN = Span(
    trace_id=bytes(range(16)),
    span_id=bytes(range(8)),
    parent_span_id=bytes([9] * 8),
    name="store orders",
    kind=Span.SPAN_KIND_SERVER,
    start_time_unix_nano=5_000_000,
    end_time_unix_nano=5_000_400,
    attributes=[
        attribute("code", int_value=14),
        attribute("retried", bool_value=True),
        attribute("hosts", array_value=ArrayValue(values=[AnyValue(string_value="a"), AnyValue(string_value="b")])),
    ],
    status=Status(code=Status.STATUS_CODE_ERROR, message="no"),
    events=[Span.Event(time_unix_nano=5_000_200, name="exception")],
    links=[Span.Link(trace_id=bytes([7] * 16), span_id=bytes([8] * 8))],
)


def test_a_span_is_converted_to_zipkins_format():
    [span] = translated(request(SPAN))
    assert span == {
        "traceId": "000102030405060708090a0b0c0d0e0f",
        "id": "0001020304050607",
        "parentId": "09" * 8,
        "name": "store orders",
        "kind": "SERVER",
        "timestamp": 5000,
        "duration": 1,
        "localEndpoint": {"serviceName": "orders"},
        "tags": {
            "code": "14",
            "retried": "true",
            "hosts": "a, b",
            "replica": "orders-1",
            "error": "no",
            "link.0": f"{'07' * 16}/{'08' * 8}",
        },
        "annotations": [{"timestamp": 5000, "value": "exception"}],
    }
    [bare] = translated(request(Span(name="root")))
    assert "parentId" not in bare
    assert "kind" not in bare
