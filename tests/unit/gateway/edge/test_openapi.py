"""The OpenAPI document matches the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from shop.inventory.v1 import inventory_pb2
from shop.orders.v1 import order_pb2

from gateway.edge import contract, openapi
from tools import reasons

BUILD = Path(__file__).resolve().parents[4] / "build" / "descriptors.binpb"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document(contract.load(BUILD))


def schema(document: dict[str, Any], name: str) -> Draft202012Validator:
    return Draft202012Validator(document | {"$ref": f"#/components/schemas/{name}"})


def test_document_is_valid(document: dict[str, Any]) -> None:
    validate(json.loads(json.dumps(document)))


def test_every_binding_is_an_operation(document: dict[str, Any]) -> None:
    found = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}
    assert found == {binding.method.name for binding in contract.load(BUILD).bindings}


def test_everything_has_a_description(document: dict[str, Any]) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["summary"].endswith(".")
    for name, each in document["components"]["schemas"].items():
        assert each["description"], name
        assert all("description" in field for field in each["properties"].values()), name


def test_tool_comments_are_omitted(document: dict[str, Any]) -> None:
    assert "buf:lint" not in json.dumps(document)


def test_success_codes_are_those_of_the_methods_comment(document: dict[str, Any]) -> None:
    created = document["paths"]["/v1/orders"]["post"]["responses"]
    assert {"201", "202"} <= set(created)
    assert "200" not in created
    assert "304" in document["paths"]["/v1/orders/{order}"]["get"]["responses"]
    for verb in ("cancel", "fulfil"):
        changed = document["paths"]["/v1/orders/{order}:" + verb]["post"]
        assert "If-Match" in [each.get("name") for each in changed["parameters"]]
        assert "412" in changed["responses"]


def test_error_codes_are_those_that_clients_get(document: dict[str, Any]) -> None:
    documented = {str(code) for row in reasons.read().values() for code in reasons.statuses(row)}
    # An upgrade that was asked for, and a client that has gone: nobody who uses the document gets them.
    documented -= {"426", "499"}
    for path, verbs in document["paths"].items():
        for verb, each in verbs.items():
            assert {code for code in each["responses"] if code >= "4"} == documented, f"{verb} {path}"


def test_key_is_required_where_the_edge_requires_it(document: dict[str, Any]) -> None:
    required = {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation["parameters"]
        if parameter["name"] == "Idempotency-Key" and parameter["required"]
    }
    assert required == {"CreateOrder", "Restock"}


def test_validation_rules_of_the_contract_are_in_the_schema(document: dict[str, Any]) -> None:
    line = document["components"]["schemas"]["OrderLine"]
    assert line["required"] == ["product", "quantity"]
    quantity = line["properties"]["quantity"]
    assert (quantity["minimum"], quantity["maximum"]) == (1, 1000)
    assert document["components"]["schemas"]["Order"]["properties"]["lines"]["maxItems"] == 100
    parameter = document["paths"]["/v1/orders/{order}"]["get"]["parameters"][0]
    assert parameter["name"] == "order"
    assert parameter["schema"]["pattern"].startswith("^[0-9a-f]{8}")


def test_json_of_messages_matches_their_schemas(document: dict[str, Any]) -> None:
    order = order_pb2.Order(
        name="orders/x", version=2**40, lines=[order_pb2.OrderLine(product="products/tea", quantity=1)]
    )
    order.state = order_pb2.Order.PENDING
    order.create_time.FromSeconds(1)
    schema(document, "Order").validate(MessageToDict(order, always_print_fields_with_no_presence=True))
    product = inventory_pb2.Product(name="products/tea", stock=inventory_pb2.Stock(on_hand=1))
    schema(document, "Product").validate(MessageToDict(product, always_print_fields_with_no_presence=True))


def test_json_that_violates_a_rule_does_not_match(document: dict[str, Any]) -> None:
    for wrong in ({"lines": []}, {"lines": [{"product": "tea", "quantity": 1}]}, {"lines": [{"quantity": 0}]}):
        assert not schema(document, "Order").is_valid(wrong)
