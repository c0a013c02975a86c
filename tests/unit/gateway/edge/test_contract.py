"""The contract as the edge's generator reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from gateway.edge import contract, descriptors

BUILD = Path(__file__).resolve().parents[4] / "build" / "descriptors.binpb"


@pytest.fixture(scope="module")
def shop() -> contract.Contract:
    return contract.load(BUILD)


def binding(shop: contract.Contract, verb: str, path: str) -> contract.Binding:
    return next(each for each in shop.bindings if (each.verb, each.path) == (verb, path))


def test_binding_lists_the_fields_of_path_body_and_query(shop: contract.Contract) -> None:
    create = binding(shop, "POST", "/v1/orders")
    assert (create.body, create.path_fields) == ("order", {})
    assert [field.name for field in create.query_fields] == ["request_id"]
    get = binding(shop, "GET", "/v1/orders/*")
    assert get.path_fields == {"name": "orders/*"}
    assert get.query_fields == ()


def test_only_methods_without_the_key_in_the_body_need_the_header(shop: contract.Contract) -> None:
    assert [each.grpc_path for each in shop.bindings if each.needs_key] == ["/shop.orders.v1.OrderService/CreateOrder"]


def test_missing_descriptors_raise_with_the_file_name(tmp_path: Path) -> None:
    with pytest.raises(contract.UnusableContract, match=r"nothing\.binpb"):
        contract.load(tmp_path / "nothing.binpb")


def test_invalid_descriptor_set_raises_with_the_file_name(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.binpb"
    wrong.write_bytes(b"\xff\xff\xff")
    with pytest.raises(contract.UnusableContract, match=r"wrong\.binpb"):
        contract.load(wrong)


def test_transcoder_descriptors_are_complete_and_minimal(shop: contract.Contract) -> None:
    files = descriptors.for_transcoder(shop.files, shop.services)
    reread = FileDescriptorSet.FromString(files.SerializeToString())
    pool = DescriptorPool()
    for file in reread.file:
        pool.Add(file)
    assert files.ByteSize() < 20_000
    for service in shop.services:
        methods = pool.FindServiceByName(service).methods
        assert [method.name for method in methods] == [m.name for m in shop.pool.FindServiceByName(service).methods]
    assert pool.FindMessageTypeByName("google.rpc.BadRequest")


def test_transcoder_descriptors_keep_the_http_bindings(shop: contract.Contract) -> None:
    files = descriptors.for_transcoder(shop.files, shop.services)
    kept = {
        (file.package, method.name)
        for file in files.file
        for service in file.service
        for method in service.method
        if method.HasField("options")
    }
    bound = {(each.method.containing_service.file.package, each.method.name) for each in shop.bindings}
    assert kept == bound
