"""
A value in a rule of an AuthorizationPolicy -> one permission or principal (istio: security/authz/model/generator.go).
"""

import re
from collections.abc import Iterable
from ipaddress import ip_network

from envoy.config.core.v3 import address_pb2, extension_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2 as route
from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2
from envoy.type.matcher.v3 import metadata_pb2, path_pb2, string_pb2, value_pb2

from translator.config.protoconv import packed, regex
from translator.config.request_authentication import JWT_FILTER, JWT_PAYLOAD
from translator.model.problems import BlockError

Permission, Principal = rbac_pb2.Permission, rbac_pb2.Principal
SPIFFE = "spiffe://"
ANY_TEXT = ".+"
Strings = string_pb2.StringMatcher


def path_permission(value: str) -> rbac_pb2.Permission:
    """
    Return a path: exact, with a wildcard at one end, or a template with `{*}` and `{**}`.
    """
    if "{*}" in value or "{**}" in value:
        template = uri_template_match_pb2.UriTemplateMatchConfig(
            path_template=value.replace("{**}", "**").replace("{*}", "*")
        )
        config = extension_pb2.TypedExtensionConfig(name="uri-template", typed_config=packed(template))
        return Permission(uri_template=config)
    return Permission(url_path=path_pb2.PathMatcher(path=wildcard(value)))


def port_permission(value: str) -> rbac_pb2.Permission:
    """
    Return a port of the destination.
    """
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise BlockError("", f"{value!r} is not a valid port")
    return Permission(destination_port=int(value))


def source_principal(value: str) -> rbac_pb2.Principal:
    """
    Return a peer's identity, without `spiffe://`.
    """
    return _authenticated(wildcard(value, SPIFFE))


def source_namespace(value: str) -> rbac_pb2.Principal:
    """
    Return the namespace in a peer's identity.
    """
    pattern = ".*".join(quoted(part) for part in value.split("*"))
    return _authenticated(Strings(safe_regex=regex(f".*/ns/{pattern}/.*")))


def source_service_account(value: str, namespace: str) -> rbac_pb2.Principal:
    """
    Return the service account in a peer's identity: `account` of the policy's own *namespace*, or `namespace/account`.
    """
    owner, _, account = value.rpartition("/")
    pattern = f"spiffe://.+/ns/{quoted(owner or namespace)}/(.+/|)sa/{quoted(account)}(/.+)?"
    return _authenticated(Strings(safe_regex=regex(pattern)))


def source_trust_domain(value: str) -> rbac_pb2.Principal:
    """
    Return the trust domain in a peer's identity.
    """
    if value == "*":
        return _authenticated(Strings(prefix=SPIFFE))
    if "*" not in value:
        return _authenticated(Strings(prefix=f"{SPIFFE}{value}/"))
    before, _, after = value.partition("*")
    return _authenticated(Strings(safe_regex=regex(f"{SPIFFE}{quoted(before)}[^/]*{quoted(after)}/.*")))


def _authenticated(name: string_pb2.StringMatcher) -> rbac_pb2.Principal:
    return Principal(authenticated=Principal.Authenticated(principal_name=name))


def request_principal(value: str) -> rbac_pb2.Principal:
    """
    Match `issuer/subject` of a verified token, with a wildcard at one end of the whole.
    """
    issuer, slash, subject = value.rpartition("/")
    if not slash:
        issuer, subject = value, ""
    if value == "*":
        parts = (wildcard("*"), wildcard("*"))
    elif value.startswith("*"):
        parts = (wildcard(issuer), Strings(exact=subject)) if slash else (wildcard("*"), wildcard(value))
    elif value.endswith("*"):
        parts = (Strings(exact=issuer), wildcard(subject)) if slash else (wildcard(value), wildcard("*"))
    else:
        parts = (Strings(exact=issuer), Strings(exact=subject))
    both = [_claim_text(name, part) for name, part in zip(("iss", "sub"), parts, strict=True)]
    return Principal(and_ids=Principal.Set(ids=[Principal(metadata=matcher) for matcher in both]))


def _claim_text(name: str, matcher: string_pb2.StringMatcher) -> metadata_pb2.MetadataMatcher:
    return _metadata([name], value_pb2.ValueMatcher(string_match=matcher))


def claim_principal(names: Iterable[str], matcher: string_pb2.StringMatcher) -> rbac_pb2.Principal:
    """
    Match a claim that is a list with a member matching *matcher*; Envoy also turns a string into a list.
    """
    single = value_pb2.ValueMatcher(string_match=matcher)
    listed = value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=single))
    either = value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=[single, listed]))
    return Principal(metadata=_metadata(names, either))


def _metadata(names: Iterable[str], value: value_pb2.ValueMatcher) -> metadata_pb2.MetadataMatcher:
    path = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in (JWT_PAYLOAD, *names)]
    return metadata_pb2.MetadataMatcher(filter=JWT_FILTER, path=path, value=value)


def header_matcher(name: str, value: str, *, ignore_case: bool = False) -> route.HeaderMatcher:
    """
    Match a header by value, or by presence.
    """
    if value == "*":
        return route.HeaderMatcher(name=name, present_match=True)
    matcher = wildcard(value)
    matcher.ignore_case = ignore_case
    return route.HeaderMatcher(name=name, string_match=matcher)


def cidr_range(value: str) -> address_pb2.CidrRange:
    """
    Return an address or a range of addresses.
    """
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise BlockError("", f"{value!r} is neither an IP address nor a CIDR range") from None
    result = address_pb2.CidrRange(address_prefix=value.partition("/")[0])
    result.prefix_len.value = network.prefixlen
    return result


def wildcard(value: str, prefix: str = "") -> string_pb2.StringMatcher:
    """
    Match a string with a wildcard at one end, or `*` for any non-empty one.
    """
    if value == "*":
        return Strings(safe_regex=regex(ANY_TEXT))
    if value.startswith("*"):
        return Strings(safe_regex=regex(f"{prefix}.*{quoted(value[1:])}")) if prefix else Strings(suffix=value[1:])
    if value.endswith("*"):
        return Strings(prefix=prefix + value[:-1])
    return Strings(exact=prefix + value)


def quoted(text: str) -> str:
    """
    Return a text as a regular expression that matches it alone, in the form of Istio's.
    """
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)
