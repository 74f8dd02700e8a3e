"""The formats of texts that Kubernetes checks in custom resources; any other is a comment.

They are those of go-openapi's strfmt: looser than the standards they are named for in some places, stricter in others.
Patterns take time in proportion to the text.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable
from email.utils import parseaddr

from actorkube.cel.patterns import GO_DURATION, Match, compiled
from actorkube.cel.urls import uri_problem

_CLOCK = r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})"
_SCALA_DURATION = r"\d+\s*([A-Za-z\x{b5}]+)"
_UNITS = (
    ("ns", "nano"),
    ("us", "\u00b5s", "micro"),
    ("ms", "milli"),
    ("s", "sec"),
    ("m", "min"),
    ("h", "hr", "hour"),
    ("d", "day"),
    ("w", "wk", "week"),
)
_CARD = (
    r"4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11}"
)
_BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})"
_SHADE = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_BYTE = "[0-9a-f]{2}"
_HARDWARE = "|".join(
    [f"{_BYTE}({sep}{_BYTE}){{{more}}}" for sep in ":-" for more in (5, 7, 19)]
    + [rf"{_BYTE}{_BYTE}(\.{_BYTE}{_BYTE}){{{more}}}" for more in (2, 3, 9)]
)
_SIGN = r"[a-zA-Z0-9\p{S}\p{L}]"
_HOST = (
    rf"{_SIGN}(-?{_SIGN}{{0,62}})?"
    rf"|({_SIGN}([a-zA-Z0-9\-\p{{S}}\p{{L}}]{{0,61}}{_SIGN})?\.)+[a-zA-Z\p{{L}}]{{2,63}}"
)
_HOST_MAX, _HOST_LABEL_MAX, _SSN_LENGTH, _SHORT_MAX, _LONG_MAX, _EMAIL_MAX = 255, 63, 11, 63, 253, 1024


def _match(pattern: str, value: str) -> Match | None:
    return compiled(rf"\A(?:{pattern})\z").search(value)


def _form(pattern: str) -> Callable[[str], bool]:
    return lambda value: _match(pattern, value) is not None


def _uuid(version: str, variant: str) -> Callable[[str], bool]:
    return _form(rf"(?i)[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}[0-9a-f]{{3}}-?{variant}[0-9a-f]{{3}}-?[0-9a-f]{{12}}")


def is_date(value: str) -> bool:
    if not _match(r"\d{4}-\d\d-\d\d", value):
        return False
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _date_time(value: str) -> bool:
    """What stands behind a second T is not looked at."""
    date, *rest = value.lower().split("t", 2)
    clock = _match(_CLOCK, rest[0]) if rest and is_date(date) else None
    return clock is not None and clock[1] <= "23" and clock[2] <= "59" and clock[3] <= "59"


def _duration(value: str) -> bool:
    """As Go writes them, or any text in which a number has a unit as in Scala (3 days)."""
    if _match(GO_DURATION, value):
        return True
    return any(_is_unit(part[1].lower()) for part in compiled(_SCALA_DURATION).finditer(value))


def _is_unit(unit: str) -> bool:
    return any(unit in names or unit.startswith(names[-1]) for names in _UNITS)


def _is_address(value: str) -> bool:
    """Zeros before the numbers of an IPv4 address say nothing, and a zone is no part of an address."""
    if "%" in value:
        return False
    head, colon, tail = value.rpartition(":")
    if "." in tail:
        tail = ".".join(part.lstrip("0") or part[-1:] for part in tail.split("."))
    try:
        ipaddress.ip_address(f"{head}{colon}{tail}")
    except ValueError:
        return False
    return True


def _cidr(value: str) -> bool:
    address, slash, length = value.partition("/")
    if not slash or not _match(r"0|[1-9]\d{0,2}", length) or not _is_address(address):
        return False
    return int(length) <= (128 if ":" in address else 32)


def _email(value: str) -> bool:
    if len(value) > _EMAIL_MAX:
        return False
    address = parseaddr(value)[1]
    local, at, domain = address.rpartition("@")
    return bool(at and local and domain) and (value == address or value.endswith(f"<{address}>"))


def _host(value: str) -> bool:
    if len(value.encode()) > _HOST_MAX or any(len(label.encode()) > _HOST_LABEL_MAX for label in value.split(".")):
        return False
    return _match(_HOST, value) is not None


def _card(value: str) -> bool:
    digits = "".join(letter for letter in value if letter in "0123456789")
    if not _match(_CARD, digits):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


def _plain(value: str) -> str:
    return "".join(value.replace("-", " ").split())


def _isbn10(value: str) -> bool:
    digits = _plain(value)
    if not _match(r"[0-9]{9}[0-9X]", digits):
        return False
    return sum((at + 1) * (10 if digit == "X" else int(digit)) for at, digit in enumerate(digits)) % 11 == 0


def _isbn13(value: str) -> bool:
    digits = _plain(value)
    if not _match(r"[0-9]{13}", digits):
        return False
    return sum(int(digit) * (1, 3)[at % 2] for at, digit in enumerate(digits)) % 10 == 0


def _short_name(value: str) -> bool:
    return len(value) <= _SHORT_MAX and _match(_LABEL, value) is not None


def _long_name(value: str) -> bool:
    return len(value) <= _LONG_MAX and _match(rf"{_LABEL}(\.{_LABEL})*", value) is not None


def _ssn(value: str) -> bool:
    return len(value) == _SSN_LENGTH and _match(r"\d{3}[- ]?\d{2}[- ]?\d{4}", value) is not None


# By the name without its dashes: `date-time` and `datetime` are the same.
CHECKS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _form("(?i)[0-9a-f]{24}"),
    "byte": _form(_BASE64),
    "cidr": _cidr,
    "creditcard": _card,
    "date": is_date,
    "datetime": _date_time,
    "duration": _duration,
    "email": _email,
    "hexcolor": _form("(?i)#?([0-9a-f]{3}|[0-9a-f]{6})"),
    "hostname": _host,
    "ipv4": lambda value: ":" not in value and _is_address(value),
    "ipv6": lambda value: ":" in value and _is_address(value),
    "isbn": lambda value: _isbn10(value) or _isbn13(value),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "k8slongname": _long_name,
    "k8sshortname": _short_name,
    "mac": _form(f"(?i){_HARDWARE}"),
    "password": lambda value: True,
    "rgbcolor": _form(rf"rgb\({_SHADE},{_SHADE},{_SHADE}\)"),
    "ssn": _ssn,
    "uri": lambda value: not uri_problem(value),
    "uuid": _uuid("[0-9a-f]", "[0-9a-f]"),
    "uuid3": _uuid("3", "[0-9a-f]"),
    "uuid4": _uuid("4", "[89ab]"),
    "uuid5": _uuid("5", "[89ab]"),
}
_OF_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def known(format: str, type: str) -> str:
    """A schema's format as it is looked up, "" for one that nobody checks in values of that type ("": any)."""
    if type in _OF_NUMBERS:
        return format if format in _OF_NUMBERS[type] else ""
    plain = format.replace("-", "")
    return plain if type in ("", "string") and plain in CHECKS else ""
