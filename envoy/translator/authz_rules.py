"""
One rule of an AuthorizationPolicy -> permissions and principals (istio: security/authz/model).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_network

from envoy.config.core.v3 import address_pb2, extension_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2 as route
from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2
from envoy.type.matcher.v3 import metadata_pb2, path_pb2, string_pb2, value_pb2

from translator.match import JWT_FILTER, JWT_PAYLOAD
from translator.problems import BlockError, within
from translator.values import Block, packed, regex

Permission, Principal = rbac_pb2.Permission, rbac_pb2.Principal
SPIFFE = "spiffe://"
ANY_TEXT = ".+"
Strings = string_pb2.StringMatcher


def policy(rule: Block, namespace: str) -> rbac_pb2.Policy:
    """
    A rule: any of its `to` by any of its `from`, and every `when`.
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
    A policy that no request matches.
    """
    return rbac_pb2.Policy(
        permissions=[Permission(not_rule=Permission(any=True))], principals=[Principal(not_id=Principal(any=True))]
    )


def _operation(block: Block, number: int) -> Iterator[rbac_pb2.Permission]:
    makers: tuple[tuple[str, str, Callable[[str], rbac_pb2.Permission]], ...] = (
        ("hosts", "notHosts", lambda value: Permission(header=_header(":authority", value, ignore_case=True))),
        ("methods", "notMethods", lambda value: Permission(header=_header(":method", value))),
        ("paths", "notPaths", _path),
        ("ports", "notPorts", _port),
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
        ("principals", "notPrincipals", _principal),
        ("requestPrincipals", "notRequestPrincipals", _request_principal),
        ("serviceAccounts", "notServiceAccounts", lambda value: _service_account(value, namespace)),
        ("trustDomains", "notTrustDomains", _trust_domain),
        ("namespaces", "notNamespaces", _namespace),
        ("remoteIpBlocks", "notRemoteIpBlocks", lambda value: Principal(remote_ip=_range(value))),
        ("ipBlocks", "notIpBlocks", lambda value: Principal(direct_remote_ip=_range(value))),
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
        return lambda value: Permission(destination_ip=_range(value))
    if key == "destination.port":
        return _port
    if key == "connection.sni":
        return lambda value: Permission(requested_server_name=wildcard(value))
    return None


def _principal_maker(key: str, namespace: str) -> Callable[[str], rbac_pb2.Principal]:
    makers: dict[str, Callable[[str], rbac_pb2.Principal]] = {
        "source.ip": lambda value: Principal(direct_remote_ip=_range(value)),
        "remote.ip": lambda value: Principal(remote_ip=_range(value)),
        "source.namespace": _namespace,
        "source.trustDomain": _trust_domain,
        "source.serviceAccount": lambda value: _service_account(value, namespace),
        "source.principal": _principal,
        "request.auth.principal": _request_principal,
        "request.auth.audiences": lambda value: _claim(["aud"], wildcard(value)),
        "request.auth.presenter": lambda value: _claim(["azp"], wildcard(value)),
    }
    if key in makers:
        return makers[key]
    header = re.fullmatch(r"request\.headers\[([^\[\]]+)\]", key)
    if header:
        name = header[1]
        return lambda value: Principal(header=_header(name, value))
    claims = re.fullmatch(r"request\.auth\.claims((?:\[[^\[\]]+\])+)", key)
    if claims:
        names = re.findall(r"\[([^\[\]]+)\]", claims[1])
        return lambda value: _claim(names, wildcard(value))
    raise BlockError("key", f"{key!r} is not supported")


def _path(value: str) -> rbac_pb2.Permission:
    if "{*}" in value or "{**}" in value:
        template = uri_template_match_pb2.UriTemplateMatchConfig(
            path_template=value.replace("{**}", "**").replace("{*}", "*")
        )
        config = extension_pb2.TypedExtensionConfig(
            name="envoy.path.match.uri_template.uri_template_matcher", typed_config=packed(template)
        )
        return Permission(uri_template=config)
    return Permission(url_path=path_pb2.PathMatcher(path=wildcard(value)))


def _port(value: str) -> rbac_pb2.Permission:
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise BlockError("", f"{value!r} is no port")
    return Permission(destination_port=int(value))


def _principal(value: str) -> rbac_pb2.Principal:
    return _authenticated(wildcard(value, SPIFFE))


def _namespace(value: str) -> rbac_pb2.Principal:
    pattern = ".*".join(re.escape(part) for part in value.split("*"))
    return _authenticated(Strings(safe_regex=regex(f".*/ns/{pattern}/.*")))


def _service_account(value: str, namespace: str) -> rbac_pb2.Principal:
    owner, _, account = value.rpartition("/")
    pattern = f"spiffe://.+/ns/{re.escape(owner or namespace)}/(.+/|)sa/{re.escape(account)}(/.+)?"
    return _authenticated(Strings(safe_regex=regex(pattern)))


def _trust_domain(value: str) -> rbac_pb2.Principal:
    if value == "*":
        return _authenticated(Strings(prefix=SPIFFE))
    if "*" not in value:
        return _authenticated(Strings(prefix=f"{SPIFFE}{value}/"))
    before, _, after = value.partition("*")
    return _authenticated(Strings(safe_regex=regex(f"{SPIFFE}{re.escape(before)}[^/]*{re.escape(after)}/.*")))


def _authenticated(name: string_pb2.StringMatcher) -> rbac_pb2.Principal:
    return Principal(authenticated=Principal.Authenticated(principal_name=name))


def _request_principal(value: str) -> rbac_pb2.Principal:
    """
    `issuer/subject` of a verified token; a wildcard at either end.
    """
    issuer, slash, subject = value.rpartition("/")
    if not slash:
        issuer, subject = (
            (ANY_TEXT, value) if value.startswith("*") else (value, ANY_TEXT if value.endswith("*") else "")
        )
    both = [_claim_text("iss", _part(issuer)), _claim_text("sub", _part(subject))]
    return Principal(and_ids=Principal.Set(ids=[Principal(metadata=matcher) for matcher in both]))


def _part(text: str) -> string_pb2.StringMatcher:
    if text in ("*", ANY_TEXT):
        return Strings(safe_regex=regex(ANY_TEXT))
    return wildcard(text)


def _claim_text(name: str, matcher: string_pb2.StringMatcher) -> metadata_pb2.MetadataMatcher:
    return _metadata([name], value_pb2.ValueMatcher(string_match=matcher))


def _claim(names: Iterable[str], matcher: string_pb2.StringMatcher) -> rbac_pb2.Principal:
    """
    A claim that is a list with a member like *matcher*, which Envoy makes of a text too.
    """
    single = value_pb2.ValueMatcher(string_match=matcher)
    listed = value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=single))
    either = value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=[single, listed]))
    return Principal(metadata=_metadata(names, either))


def _metadata(names: Iterable[str], value: value_pb2.ValueMatcher) -> metadata_pb2.MetadataMatcher:
    path = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in (JWT_PAYLOAD, *names)]
    return metadata_pb2.MetadataMatcher(filter=JWT_FILTER, path=path, value=value)


def _header(name: str, value: str, *, ignore_case: bool = False) -> route.HeaderMatcher:
    if value == "*":
        return route.HeaderMatcher(name=name, present_match=True)
    matcher = wildcard(value)
    matcher.ignore_case = ignore_case
    return route.HeaderMatcher(name=name, string_match=matcher)


def _range(value: str) -> address_pb2.CidrRange:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise BlockError("", f"{value!r} is no address and no range of addresses") from None
    result = address_pb2.CidrRange(address_prefix=value.partition("/")[0])
    result.prefix_len.value = network.prefixlen
    return result


def wildcard(value: str, prefix: str = "") -> string_pb2.StringMatcher:
    """
    A text with a wildcard at one end, or `*` for anything but nothing.
    """
    if value == "*":
        return Strings(safe_regex=regex(ANY_TEXT))
    if value.startswith("*"):
        return Strings(suffix=value[1:])
    if value.endswith("*"):
        return Strings(prefix=prefix + value[:-1])
    return Strings(exact=prefix + value)


def _all_permissions(rules: list[rbac_pb2.Permission]) -> rbac_pb2.Permission:
    return Permission(and_rules=Permission.Set(rules=rules or [Permission(any=True)]))


def _all_principals(ids: list[rbac_pb2.Principal]) -> rbac_pb2.Principal:
    return Principal(and_ids=Principal.Set(ids=ids or [Principal(any=True)]))
