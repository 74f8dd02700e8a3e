"""Forms of texts by their names: `format.dns1123Label().validate(self.name)` has a value where something is wrong.

What gives an optional value gives a list with one value or none here (rewriting.py).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from actorkube.cel.patterns import compiled
from actorkube.cel.urls import uri_problem
from actors.apiserver.custom.formats import CHECKS, is_date
from actors.apiserver.rules.names import dns_1035_label, dns_label, dns_subdomain, label_key, label_value

Format = dict[str, str]

_DATE_TIME = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$"


def _uri(text: str) -> Iterator[str]:
    problem = uri_problem(text)
    if problem:
        yield problem


def _uuid(text: str) -> Iterator[str]:
    if not CHECKS["uuid"](text):
        yield "does not match the UUID format"


def _byte(text: str) -> Iterator[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        yield "invalid base64"


def _date(text: str) -> Iterator[str]:
    if not is_date(text):
        yield "invalid date"


def _datetime(text: str) -> Iterator[str]:
    if not compiled(_DATE_TIME).search(text) or not is_date(text[: len("2026-01-01")]):
        yield "invalid datetime"


def _prefix_of(check: Callable[[str], Iterable[str]]) -> Callable[[str], Iterable[str]]:
    """What a name is made of by `generateName`: a dash at its end stands for a letter."""
    return lambda text: check(f"{text[:-1]}a" if len(text) > 1 and text.endswith("-") else text)


_CHECKS: dict[str, Callable[[str], Iterable[str]]] = {
    "dns1123Label": dns_label,
    "dns1123Subdomain": dns_subdomain,
    "dns1035Label": dns_1035_label,
    "qualifiedName": label_key,
    "dns1123LabelPrefix": _prefix_of(dns_label),
    "dns1123SubdomainPrefix": _prefix_of(dns_subdomain),
    "dns1035LabelPrefix": _prefix_of(dns_1035_label),
    "labelValue": label_value,
    "uri": _uri,
    "uuid": _uuid,
    "byte": _byte,
    "date": _date,
    "datetime": _datetime,
}


def _validate(format: Format, text: str) -> list[list[str]]:
    found = [*_CHECKS[format["Format"]](text)]
    return [found] if found else []


def _named(name: str) -> list[Format]:
    return [{"Format": name}] if name in _CHECKS else []


def _constant(name: str) -> Callable[[], Format]:
    return lambda: {"Format": name}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "format.named(string) -> optional(Format)": _named,
    "Format.validate(string) -> optional(list(string))": _validate,
    **{f"format.{name}() -> Format": _constant(name) for name in _CHECKS},
}
