"""The forms of labels' keys and values, and of the domains that keys begin with: each check returns what is wrong, in
Kubernetes' words, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
ALPHANUMERIC = "and must start and end with an alphanumeric character"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"

_subdomain = re.compile(SUBDOMAIN)
_qualified = re.compile(_QUALIFIED)
_label_value = re.compile(_LABEL_VALUE)


def label_key(value: str) -> Iterator[str]:
    """`app`, `example.com/app`: keys of labels and annotations, finalizers, condition types."""
    prefix, slash, name = value.rpartition("/")
    if not slash and len(name) <= 63 and _qualified.fullmatch(name):
        return  # most of them
    if "/" in prefix:
        example = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        yield f"a valid label key {_qualified_form()} {example}"
        return
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash:
        yield from (f"prefix part {problem}" for problem in dns_subdomain(prefix))
    if not name:
        yield "name part must be non-empty"
    yield from (f"name part {problem}" for problem in at_most(63, name, "bytes"))
    if not _qualified.fullmatch(name):
        yield f"name part {_qualified_form()}"


def label_value(value: str) -> Iterator[str]:
    yield from at_most(63, value, "bytes")
    if not _label_value.fullmatch(value):
        rule = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            + ALPHANUMERIC
        )
        yield form(rule, _LABEL_VALUE, "MyValue", "my_value", "12345")


def dns_subdomain(value: str) -> Iterator[str]:
    """RFC 1123: `web-1.example.com`, and most objects' names."""
    yield from at_most(253, value)
    if not _subdomain.fullmatch(value):
        rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
        yield form(rule + ALPHANUMERIC, SUBDOMAIN, "example.com")


def at_most(length_max: int, value: str, unit: str = "characters") -> Iterator[str]:
    if len(value) > length_max:
        yield f"must be no more than {length_max} {unit}"


def _qualified_form() -> str:
    rule = f"must consist of alphanumeric characters, '-', '_' or '.', {ALPHANUMERIC}"
    return form(rule, _QUALIFIED, "MyName", "my.name", "123-abc")


def form(rule: str, pattern: str, *examples: str) -> str:
    quoted = " or ".join(f"'{example}', " for example in examples)
    return f"{rule} (e.g. {quoted}regex used for validation is '{pattern}')"
