"""
The CEL rules of Istio's schema, by their text, as Python functions of the value.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from translator.model.problems import BlockError
from translator.model.values import nanoseconds

Rule = Callable[[Any], bool]
PORT_MAX = 65535
MILLISECOND_NS = 1_000_000
DURATION = "duration(self) >= duration('1ms')"


def _at_least_a_millisecond(text: str) -> bool:
    try:
        return nanoseconds(text) >= MILLISECOND_NS
    except BlockError:
        return False


def _at_most_one(*names: str) -> Rule:
    return lambda block: sum(name in block for name in names) <= 1


def _port_keys(block: Mapping[str, Any]) -> bool:
    return all(key.isdigit() and 0 < int(key) <= PORT_MAX for key in block)


def _label_keys(block: Mapping[str, Any]) -> bool:
    return all(
        0 < len(key) < 63 and key.replace("-", "a").isalnum() and key[0] != "-" and key[-1] != "-" for key in block
    )


def _distinct_ports(ports: list[Mapping[str, Any]]) -> bool:
    numbers = [port.get("number") for port in ports]
    return len(set(numbers)) == len(numbers)


def _no_service_accounts_beside_principals(block: Mapping[str, Any]) -> bool:
    accounts = "serviceAccounts" in block or "notServiceAccounts" in block
    return not (accounts and {"principals", "notPrincipals", "namespaces", "notNamespaces"} & set(block))


def _prefixes_need_static(block: Mapping[str, Any]) -> bool:
    return not any("/" in address for address in block.get("addresses", ())) or block.get("resolution", "NONE") in (
        "STATIC",
        "NONE",
    )


def _waypoint(block: Mapping[str, Any]) -> bool:
    return (block.get("context") == "WAYPOINT") == ("waypoint" in block)


_UNIX = "unix://"
_TARGETS = (
    "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
    "(has(self.tlsCertificates) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1",
    "(has(self.credentialNames) ? 1 : 0) + (has(self.tlsCertificates) ? 1 : 0) <= 1",
    "(has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1",
    "(has(self.workloadSelector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
    "(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1",
    "(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1",
)


def _names_in(text: str) -> tuple[str, ...]:
    return tuple(part.split(")")[0] for part in text.split("has(self.")[1:])


# ruff: noqa: E501  # the rules are Istio's own words
RULES: Mapping[str, Rule] = MappingProxyType(
    {text: _at_most_one(*_names_in(text)) for text in _TARGETS}
    | {
        DURATION: _at_least_a_millisecond,
        '((has(self.operation) ? self.operation : "") == "UPSERT") ? (self.value != "") : true': lambda tag: (
            tag.get("operation") != "UPSERT" or bool(tag.get("value"))
        ),
        '((has(self.operation) ? self.operation : "") == "REMOVE") ? !has(self.value) : true': lambda tag: (
            tag.get("operation") != "REMOVE" or "value" not in tag
        ),
        '!self.contains("*")': lambda text: "*" not in text,
        'self.all(key, !key.contains("*"))': lambda block: not any("*" in key for key in block),
        "self.all(key, key.size() != 0)": lambda block: all(block),
        "self.size() == 0": lambda block: not block,
        'self != "*"': lambda text: text != "*",
        "0 < self && self <= 65535": lambda number: 0 < number <= PORT_MAX,
        "self.all(key, 0 < int(key) && int(key) <= 65535)": _port_keys,
        'self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))': _label_keys,
        'url(self).getScheme() in ["http", "https"]': lambda text: urlsplit(text).scheme in ("http", "https"),
        "self.all(l1, self.exists_one(l2, l1.number == l2.number))": _distinct_ports,
        "has(self.address) || has(self.network)": lambda block: "address" in block or "network" in block,
        '(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true': lambda block: (
            not block.get("address", "").startswith(_UNIX) or "ports" not in block
        ),
        'self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true': lambda text: (
            not text.startswith(_UNIX) or text[7:8] in ("/", "@")
        ),
        'self.startsWith("unix://") ? !self.endsWith("/") : true': lambda text: (
            not (text.startswith(_UNIX) and text.endswith("/"))
        ),
        "has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels)) ? self.selector.matchLabels : {}).size() > 0)"
        " : true": lambda block: "portLevelMtls" not in block or bool(block.get("selector", {}).get("matchLabels")),
        '((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1)'
        " : true": lambda block: block.get("resolution") != "DNS_ROUND_ROBIN" or len(block.get("endpoints", ())) <= 1,
        '((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true': lambda block: (
            block.get("resolution", "NONE") != "NONE" or "endpoints" not in block
        ),
        '!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && !((has(self.resolution) ? self.resolution : "NONE")'
        ' in ["STATIC", "NONE"]))': _prefixes_need_static,
        'has(self.context) ? ((self.context == "WAYPOINT") ? has(self.waypoint) : !has(self.waypoint)) : !has(self.waypoint)': _waypoint,
        "(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) && !has(self.notPrincipals) &&"
        " !has(self.namespaces) && !has(self.notNamespaces)) : true": _no_service_accounts_beside_principals,
    }
)
