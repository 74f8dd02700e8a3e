"""Addresses and networks as fields of today's kinds want them: valid, and written in the one form that is theirs.

Older fields (names.py) take what can be read; there `10.0.0.1/24` and `FE80::1` are as good.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_LEADING_ZEROS = re.compile(r"(^|[.])0+(?=\d)")
_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_INTERFACE = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
_MAPPED = "must not {} an IPv4-mapped IPv6 address"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def ip(value: str) -> Iterator[str]:
    address = _address(value)
    if address is None:
        yield _IP
    elif _without_zeros(value) != value:
        yield "must not have leading 0s"
    elif _is_mapped(address):
        yield _MAPPED.format("be")
    elif str(address) != value:
        yield _canonical(str(address))


def cidr(value: str) -> Iterator[str]:
    """A network: no bit is set behind its prefix."""
    parts = _parts(value)
    problem = _problem(value, parts, _CIDR)
    if problem:
        yield problem
    elif parts and parts[0] != ipaddress.ip_network(f"{parts[0]}/{parts[1]}", strict=False).network_address:
        yield "must not have bits set beyond the prefix length"


def interface(value: str) -> Iterator[str]:
    """An address with the size of its network."""
    problem = _problem(value, _parts(value), _INTERFACE)
    if problem:
        yield problem


def is_dual_stack(first: str, second: str) -> bool:
    """Whether two networks are one of each family; False where one of them is none."""
    parts = [_parts(value) for value in (first, second)]
    return {each[0].version for each in parts if each is not None} == {4, 6}


def _parts(value: str) -> tuple[Address, int] | None:
    text, slash, length = value.partition("/")
    address = _address(text)
    if not slash or address is None or not (length.isascii() and length.isdigit()):
        return None
    return (address, int(length)) if int(length) <= address.max_prefixlen else None


def _problem(value: str, parts: tuple[Address, int] | None, form: str) -> str:
    if parts is None:
        return form
    (text, _, written), (address, length) = value.partition("/"), parts
    if _without_zeros(text) != text or str(length) != written:
        return "must not have leading 0s in IP or prefix length"
    if _is_mapped(address):
        return _MAPPED.format("have")
    canonical = f"{address}/{length}"
    return "" if canonical == value else _canonical(canonical)


def _address(value: str) -> Address | None:
    try:
        return None if "%" in value else ipaddress.ip_address(_without_zeros(value))
    except ValueError:
        return None


def _without_zeros(value: str) -> str:
    """IPv4 with leading zeros was read as decimal once, and as octal elsewhere."""
    return value if ":" in value else _LEADING_ZEROS.sub(r"\1", value)


def _is_mapped(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def _canonical(text: str) -> str:
    return f'must be in canonical form ("{text}")'
