"""The EnvoyFilters are valid for Istio and Envoy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.compression.gzip.compressor.v3 import gzip_pb2 as _gzip
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2 as _buffer
from envoy.extensions.filters.http.compressor.v3 import compressor_pb2 as _compressor
from envoy.extensions.filters.http.cors.v3 import cors_pb2 as _cors
from envoy.extensions.filters.http.grpc_json_transcoder.v3 import transcoder_pb2 as _transcoder
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2 as _ratelimit
from envoy.extensions.filters.http.lua.v3 import lua_pb2 as _lua
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as _manager
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import ParseDict

from gateway import failures
from gateway.edge import __main__ as program
from gateway.edge import contract, filters

KNOWN = (_buffer, _cors, _ratelimit, _gzip, _compressor, _transcoder, _lua, _manager)
ROOT = Path(__file__).resolve().parents[4]


def edge_filters() -> list[dict[str, Any]]:
    made = filters.edge_api(contract.load(ROOT / "build" / "descriptors.binpb"), namespace="shop")
    return [made, *yaml.safe_load_all((ROOT / "istio" / "edge-filters.yaml").read_text())]


@pytest.fixture(params=edge_filters(), ids=lambda each: each["metadata"]["name"])
def edge_filter(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


def test_every_patch_is_valid_envoy_configuration(edge_filter: dict[str, Any]) -> None:
    for patch in edge_filter["spec"]["configPatches"]:
        value = patch["patch"]["value"]
        if patch["applyTo"] == "LISTENER":
            ParseDict(value, listener_pb2.Listener())
            continue
        for config in [value["typed_config"]] if "typed_config" in value else value["typed_per_filter_config"].values():
            assert ParseDict(config, AnyMessage()).type_url


def test_filter_is_valid_by_istios_schema(edge_filter: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "envoy" / "translator" / "model" / "schema" / "EnvoyFilter.json").read_text())
    jsonschema.validate(edge_filter["spec"], schema.get("properties", {}).get("spec", schema))


def test_filter_selects_only_the_edge(edge_filter: dict[str, Any]) -> None:
    assert edge_filter["spec"]["workloadSelector"] == {"labels": {"istio": "edge"}}
    assert {patch["match"]["context"] for patch in edge_filter["spec"]["configPatches"]} == {"GATEWAY"}


def test_same_contract_gives_the_same_bytes(tmp_path: Path) -> None:
    made = [filters.edge_api(contract.load(ROOT / "build" / "descriptors.binpb"), namespace="shop") for _ in range(2)]
    for number, each in enumerate(made):
        program.write(tmp_path / str(number), each)
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


def test_resource_survives_a_yaml_round_trip(tmp_path: Path) -> None:
    made = filters.edge_api(contract.load(ROOT / "build" / "descriptors.binpb"), namespace="shop")
    program.write(tmp_path / "edge.yaml", made)
    assert yaml.safe_load((tmp_path / "edge.yaml").read_text()) == made


@pytest.mark.parametrize("failure", failures.FAILURES, ids=lambda each: str(each.http))
def test_retry_after_is_set_only_for_transient_errors(failure: failures.Failure) -> None:
    helps = failure.http in (429, 502, 503, 504)
    assert (failure.retry_after_s is not None) == helps
    kinds = [detail["@type"].rpartition(".")[2] for detail in failure.status()["details"]]
    assert ("RetryInfo" in kinds) == helps


ORDER = "/v1/orders/00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("path", "limited"),
    [
        (f"{ORDER}:watch", "watch"),
        (f"{ORDER}:watch?fromVersion=2", "watch"),
        ("/shop.orders.v1.OrderService/WatchOrder", "watch"),
        ("/v1/orders:batchCreate", "batch"),
        ("/v1/orders:batchCreate?x=y", "batch"),
        ("/shop.orders.v1.OrderService/BatchCreateOrders", "batch"),
        (ORDER, None),
        (f"{ORDER}:cancel", None),
        ("/v1/orders", None),
        ("/shop.orders.v1.OrderService/GetOrder", None),
    ],
)
def test_streams_and_batches_of_a_customer_have_limits_of_their_own(path: str, limited: str | None) -> None:
    patterns = {
        match["descriptor_key"]: match["headers"][0]["string_match"]["safe_regex"]["regex"]
        for limit in limits_of_a_customer()["rate_limits"]
        for action in limit["actions"]
        if (match := action.get("header_value_match")) and match["descriptor_value"] == "yes"
    }
    assert [key for key, pattern in patterns.items() if re.fullmatch(pattern, path)] == ([limited] if limited else [])


def test_every_limit_of_a_customer_has_its_bucket() -> None:
    found = limits_of_a_customer()
    matched = {
        (match["descriptor_key"], match["descriptor_value"])
        for limit in found["rate_limits"]
        for action in limit["actions"]
        if (match := action.get("header_value_match"))
    }
    buckets = {(each["entries"][1]["key"], each["entries"][1]["value"]) for each in found["descriptors"]}
    assert matched == buckets == {("batch", "yes"), ("batch", "no"), ("watch", "yes")}


def limits_of_a_customer() -> dict[str, Any]:
    patches = [patch for each in edge_filters() for patch in each["spec"]["configPatches"]]
    configs = [patch["patch"]["value"].get("typed_config", {}) for patch in patches]
    [found] = [config for config in configs if config.get("stat_prefix") == "customers"]
    return dict(found)
