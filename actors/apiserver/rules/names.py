"""The forms that names and keys must have: each check returns what is wrong, in Kubernetes' words, or nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from protocols.rules.label_forms import (
    ALPHANUMERIC,
    LABEL,
    SUBDOMAIN,
    at_most,
    form,
)
from protocols.rules.label_forms import dns_subdomain as dns_subdomain
from protocols.rules.label_forms import label_key as label_key
from protocols.rules.label_forms import label_value as label_value

_WILDCARD = rf"\*\.{SUBDOMAIN}"
_SEARCHED = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCH_PATH = rf"{_SEARCHED}(\.{_SEARCHED})*"
_DNS_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"
_HEADER = "[-A-Za-z0-9]+"

_label = re.compile(LABEL)
_subdomain = re.compile(SUBDOMAIN)
_dns_1035 = re.compile(_DNS_1035)
_config_key = re.compile(_CONFIG_KEY)
_percent = re.compile(_PERCENT)
_header = re.compile(_HEADER)
_port_name_characters = re.compile("[-a-z0-9]+")
_wildcard = re.compile(_WILDCARD)
_search_path = re.compile(_SEARCH_PATH)
_letter = re.compile("[a-z]")


def dns_label(value: str) -> Iterator[str]:
    """RFC 1123: `web-1`."""
    yield from at_most(63, value)
    if not _label.fullmatch(value):
        if _subdomain.fullmatch(value):
            yield "must not contain dots"
        else:
            rule = (
                f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {ALPHANUMERIC}"
            )
            yield form(rule, LABEL, "my-name", "123-abc")


def host(value: str) -> Iterator[str]:
    """A host's name, or that of all hosts right below it: `*.example.com`."""
    if "*" not in value:
        yield from dns_subdomain(value)
    elif len(value) > 253 or not _wildcard.fullmatch(value):
        rule = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
        )
        rule += "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        yield form(rule, _WILDCARD, "*.example.com")


def search_path(value: str) -> Iterator[str]:
    """Where a resolver looks: a subdomain that may begin with underscores and end with a dot, or the root."""
    if value == ".":
        return
    value = value.removesuffix(".")
    yield from at_most(253, value)
    if not _search_path.fullmatch(value):
        rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
        yield form(rule + ALPHANUMERIC, _SEARCH_PATH, "example.com")


def dns_1035_label(value: str) -> Iterator[str]:
    """RFC 1035: a label that starts with a letter; names of Services."""
    yield from at_most(63, value)
    if not _dns_1035.fullmatch(value):
        rule = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character"
        )
        yield form(rule, _DNS_1035, "my-name", "abc-123")


def path_segment(value: str) -> Iterator[str]:
    """What can be one step of a URL: names of RBAC objects."""
    if value in (".", ".."):
        yield f"may not be '{value}'"
    for character in ("/", "%"):
        if character in value:
            yield f"may not contain '{character}'"


def config_key(value: str) -> Iterator[str]:
    """Keys of ConfigMaps and Secrets: they become file names."""
    yield from at_most(253, value)
    if not _config_key.fullmatch(value):
        rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        yield form(rule, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name")
    if value in (".", ".."):
        yield f"must not be '{value}'"
    elif value.startswith(".."):
        yield "must not start with '..'"


def env_name(value: str) -> Iterator[str]:
    """Any printable ASCII but `=` (relaxed since Kubernetes 1.30)."""
    if not value:
        yield "environment variable name must be non-empty"
    if not all(" " <= character <= "~" and character != "=" for character in value):
        yield "a valid environment variable name must consist only of printable ASCII characters other than '='"


def port_number(value: object) -> Iterator[str]:
    if not isinstance(value, int) or not 1 <= value <= 65535:
        yield in_range(1, 65535)


def port_name(value: str) -> Iterator[str]:
    """RFC 6335, lower case only."""
    yield from at_most(15, value)
    if not _port_name_characters.fullmatch(value):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not _letter.search(value):
        yield "must contain at least one letter (a-z)"
    if "--" in value:
        yield "must not contain consecutive hyphens"
    if value.startswith("-") or value.endswith("-"):
        yield "must not begin or end with a hyphen"


def port_number_or_name(value: object) -> Iterator[str]:
    return port_name(value) if isinstance(value, str) else port_number(value)


def percent(value: str) -> Iterator[str]:
    if not _percent.fullmatch(value):
        rule = "a valid percent string must be a numeric string followed by an ending '%'"
        yield form(rule, _PERCENT, "1%", "93%")


def header_name(value: str) -> Iterator[str]:
    if not _header.fullmatch(value):
        yield form("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")


def ip_address(value: str) -> Iterator[str]:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        yield "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def cidr(value: str) -> Iterator[str]:
    try:
        if "/" not in value:
            raise ValueError
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        yield "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def in_range(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"
