"""
One rule of an AuthorizationPolicy -> permissions and principals (istio: security/authz/model/model.go).
"""

import re
from collections.abc import Callable, Iterator

from envoy.config.rbac.v3 import rbac_pb2

from translator.config.authz.generator import (
    Permission,
    Principal,
    cidr_range,
    claim_principal,
    header_matcher,
    path_permission,
    port_permission,
    request_principal,
    source_namespace,
    source_principal,
    source_service_account,
    source_trust_domain,
    wildcard,
)
from translator.model.problems import BlockError, within
from translator.model.values import Block


def policy(rule: Block, namespace: str) -> rbac_pb2.Policy:
    """
    Return the policy of a rule: any of its `to` by any of its `from`, and every `when`.
    """
    conditions = list(_conditions(rule, namespace))
    permissions = [item for item in conditions if isinstance(item, Permission)]
    principals = [item for item in conditions if isinstance(item, Principal)]
    return rbac_pb2.Policy(
        permissions=[
            _all_permissions([*_operation(to.get("operation", {}), n), *permissions])
            for n, to in enumerate(rule.get("to") or [{}])
        ],
        principals=[
            _all_principals([*_source(source.get("source", {}), n, namespace), *principals])
            for n, source in enumerate(rule.get("from") or [{}])
        ],
    )


def never() -> rbac_pb2.Policy:
    """
    Return a policy that no request matches.
    """
    return rbac_pb2.Policy(
        permissions=[Permission(not_rule=Permission(any=True))], principals=[Principal(not_id=Principal(any=True))]
    )


def _operation(block: Block, number: int) -> Iterator[rbac_pb2.Permission]:
    makers: tuple[tuple[str, str, Callable[[str], rbac_pb2.Permission]], ...] = (
        ("hosts", "notHosts", lambda value: Permission(header=header_matcher(":authority", value, ignore_case=True))),
        ("methods", "notMethods", lambda value: Permission(header=header_matcher(":method", value))),
        ("paths", "notPaths", path_permission),
        ("ports", "notPorts", port_permission),
    )
    for name, unwanted, make in makers:
        with within(f"to[{number}].operation"):
            yield from _permissions(block, name, unwanted, make)


def _permissions(
    block: Block, name: str, unwanted: str, make: Callable[[str], rbac_pb2.Permission]
) -> Iterator[rbac_pb2.Permission]:
    if block.get(name):
        yield Permission(or_rules=Permission.Set(rules=list(_each(block, name, make))))
    if block.get(unwanted):
        yield Permission(not_rule=Permission(or_rules=Permission.Set(rules=list(_each(block, unwanted, make)))))


def _source(block: Block, number: int, namespace: str) -> Iterator[rbac_pb2.Principal]:
    makers: tuple[tuple[str, str, Callable[[str], rbac_pb2.Principal]], ...] = (
        ("principals", "notPrincipals", source_principal),
        ("requestPrincipals", "notRequestPrincipals", request_principal),
        ("serviceAccounts", "notServiceAccounts", lambda value: source_service_account(value, namespace)),
        ("trustDomains", "notTrustDomains", source_trust_domain),
        ("namespaces", "notNamespaces", source_namespace),
        ("remoteIpBlocks", "notRemoteIpBlocks", lambda value: Principal(remote_ip=cidr_range(value))),
        ("ipBlocks", "notIpBlocks", lambda value: Principal(direct_remote_ip=cidr_range(value))),
    )
    for name, unwanted, make in makers:
        with within(f"from[{number}].source"):
            yield from _principals(block, name, unwanted, make)


def _principals(
    block: Block, name: str, unwanted: str, make: Callable[[str], rbac_pb2.Principal]
) -> Iterator[rbac_pb2.Principal]:
    if block.get(name):
        yield Principal(or_ids=Principal.Set(ids=list(_each(block, name, make))))
    if block.get(unwanted):
        yield Principal(not_id=Principal(or_ids=Principal.Set(ids=list(_each(block, unwanted, make)))))


def _each(block: Block, name: str, make: Callable[[str], object]) -> Iterator[object]:
    for number, value in enumerate(block[name]):
        with within(f"{name}[{number}]"):
            yield make(value)


def _conditions(rule: Block, namespace: str) -> Iterator[rbac_pb2.Permission | rbac_pb2.Principal]:
    for number, when in enumerate(rule.get("when", ())):
        with within(f"when[{number}]"):
            if not when.get("values") and not when.get("notValues"):
                raise BlockError("", "must have values or notValues")
            permission = _permission_maker(when["key"])
            if permission:
                yield from _permissions(when, "values", "notValues", permission)
            else:
                yield from _principals(when, "values", "notValues", _principal_maker(when["key"], namespace))


def _permission_maker(key: str) -> Callable[[str], rbac_pb2.Permission] | None:
    if key == "destination.ip":
        return lambda value: Permission(destination_ip=cidr_range(value))
    if key == "destination.port":
        return port_permission
    if key == "connection.sni":
        return lambda value: Permission(requested_server_name=wildcard(value))
    return None


def _principal_maker(key: str, namespace: str) -> Callable[[str], rbac_pb2.Principal]:
    makers: dict[str, Callable[[str], rbac_pb2.Principal]] = {
        "source.ip": lambda value: Principal(direct_remote_ip=cidr_range(value)),
        "remote.ip": lambda value: Principal(remote_ip=cidr_range(value)),
        "source.namespace": source_namespace,
        "source.trustDomain": source_trust_domain,
        "source.serviceAccount": lambda value: source_service_account(value, namespace),
        "source.principal": source_principal,
        "request.auth.principal": request_principal,
        "request.auth.audiences": lambda value: claim_principal(["aud"], wildcard(value)),
        "request.auth.presenter": lambda value: claim_principal(["azp"], wildcard(value)),
    }
    if key in makers:
        return makers[key]
    header = re.fullmatch(r"request\.headers\[([^\[\]]+)\]", key)
    if header:
        name = header[1]
        return lambda value: Principal(header=header_matcher(name, value))
    claims = re.fullmatch(r"request\.auth\.claims((?:\[[^\[\]]+\])+)", key)
    if claims:
        names = re.findall(r"\[([^\[\]]+)\]", claims[1])
        return lambda value: claim_principal(names, wildcard(value))
    raise BlockError("key", f"{key!r} is not supported")


def _all_permissions(rules: list[rbac_pb2.Permission]) -> rbac_pb2.Permission:
    return Permission(and_rules=Permission.Set(rules=rules or [Permission(any=True)]))


def _all_principals(ids: list[rbac_pb2.Principal]) -> rbac_pb2.Principal:
    return Principal(and_ids=Principal.Set(ids=ids or [Principal(any=True)]))
